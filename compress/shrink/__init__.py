"""Checkpoint to a smaller checkpoint: fewer layers, fewer pieces of the vocabulary."""
