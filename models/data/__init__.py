"""Files that somebody else made: data files, and what is checked before anything in a folder is read."""
