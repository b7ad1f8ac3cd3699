"""A value made at import decides which pipeline runs."""
