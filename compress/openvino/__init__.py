"""Checkpoint or ONNX to OpenVINO, and OpenVINO to fewer bits."""
