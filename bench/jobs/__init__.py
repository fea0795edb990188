"""Whole jobs as the command line, the demo and the pytest plugin run them."""
