"""Architectures: one row a `model_type`, with everything that mct knows of it."""
