"""Checkpoint to ONNX, and ONNX to fewer bits."""
