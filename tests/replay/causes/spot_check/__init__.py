"""A random draw in a helper class decides about a spot check."""
