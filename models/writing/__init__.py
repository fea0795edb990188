"""Folders and files that appear whole or not at all, and replace nothing but what mct wrote itself."""
