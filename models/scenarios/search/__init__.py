"""What builds the checkpoints of the scenarios around search and few examples: one file each, and what they share."""
