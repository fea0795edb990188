"""An instruction set that is not here: an artifact's answers checked by emulation, never its speed."""
