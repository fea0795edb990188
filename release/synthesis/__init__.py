"""New rows out of those that are there, and whether they help."""
