"""The measured process where an artifact runs in onnxruntime-web: in Node, or in a page of a headless Chromium."""
