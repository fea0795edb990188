"""Which parts of a model keep more bits than the others: measured on the user's texts, whatever the format."""
