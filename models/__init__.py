"""Checkpoints, tasks, scenarios and data: what comes in."""
