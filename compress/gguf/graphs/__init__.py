"""Models in the terms of the graphs that llama.cpp has: encoders, decoders, and what stands on them."""
