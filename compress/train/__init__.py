"""Checkpoint to a trained checkpoint: distilled, a student below the transformer, or on the grid of few bits."""
