"""What a user brings: read without loading it, then loaded by leaves that run nothing of it."""
