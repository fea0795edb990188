"""Percentiles, ratios, wandering, paired tests, bootstrap: numpy and scipy only."""
