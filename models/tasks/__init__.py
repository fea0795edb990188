"""Task kinds: one row and one file each, from a data row to a request, an answer and a score."""
