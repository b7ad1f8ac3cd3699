"""Why the two sides differ: by two replays, by one, by an edit of the source, or by what the source says."""
