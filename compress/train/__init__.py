"""Checkpoint to a trained checkpoint of the same kind: distilled, or on the grid of few bits."""
