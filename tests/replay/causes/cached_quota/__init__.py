"""A cached function keeps a value that depends on the clock."""
