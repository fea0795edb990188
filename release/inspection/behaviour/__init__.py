"""Behaviour tests that a person writes: the file, the cases made of it, and what a model makes of these."""
