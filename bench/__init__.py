"""From artifact to verdict: running it, timing it, scoring it, judging it, storing and reporting it."""
