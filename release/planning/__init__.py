"""The map of what to do in which order, what of it is there already, and how long the rest will take."""
