"""Networks of our own, registered with transformers so that their folders open as any other."""
