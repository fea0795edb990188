"""Loops that fine-tune and distil."""
