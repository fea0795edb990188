"""Several targets side by side: what each artifact does on each, and which to ship where."""
