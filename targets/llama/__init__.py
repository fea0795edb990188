"""Artifacts of llama.cpp, by the low-level calls of its package: encoders, rewards, writers."""
