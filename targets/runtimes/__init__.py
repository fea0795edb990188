"""What executes a model: one table row and one file a runtime and kind of session."""
