"""GPUs: which there are, what they use, and how torch computes on them or, by the same code, on the CPU."""
