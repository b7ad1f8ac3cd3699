"""A module-level counter picks the carrier."""
