"""ONNX graphs written by hand, straight from the weights: encoders, decoders, and what stands on them."""
