"""The one store of results, and how it is read again."""
