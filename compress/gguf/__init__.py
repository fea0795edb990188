"""Checkpoint to GGUF, and GGUF to fewer bits."""
