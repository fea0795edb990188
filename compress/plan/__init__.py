"""Passes as a table and the plans made of them: light, pure, readable before anything runs."""
