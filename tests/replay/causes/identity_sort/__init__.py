"""Lines are sorted by id(), which is an address."""
