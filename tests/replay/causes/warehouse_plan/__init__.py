"""Warehouses come from dict.fromkeys over a set difference."""
