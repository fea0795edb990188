"""Adapters taken up into their base, weights unpacked: what comes out is an ordinary checkpoint."""
