"""Percentiles, dependence, ratios, paired tests, bootstrap: numpy and scipy only."""
