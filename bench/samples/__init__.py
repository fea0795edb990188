"""What was measured, as values."""
