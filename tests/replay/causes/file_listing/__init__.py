"""Templates on disk decide which letters are sent."""
