"""Production's log held against the evidence of its release."""
