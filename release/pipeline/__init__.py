"""Build, check, compress, bench, explain, gate, release as one file that goes on where it stopped."""
