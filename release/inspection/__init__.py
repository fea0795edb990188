"""Where and why a compressed model answers otherwise; behaviour tests."""
