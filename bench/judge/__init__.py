"""Stability, latency, quality, verdict, comparison: from raw values to an answer."""
