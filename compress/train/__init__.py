"""Checkpoint to a trained checkpoint: distilled, or on the grid of few bits."""
