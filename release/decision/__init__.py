"""The written decision of a release, and the map of what to do in which order."""
