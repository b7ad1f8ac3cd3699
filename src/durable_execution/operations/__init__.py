"""One file per operation, and the life cycle they share."""
