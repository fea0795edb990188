"""What builds the checkpoints of the scenarios that label texts: one file each, and the encoders they start from."""
