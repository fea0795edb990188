"""Rounds and pairs of fresh processes: what is asked of them, and when there is enough."""
