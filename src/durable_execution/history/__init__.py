"""A recorded execution as values: reading files, folding events, positions and the tree of operations."""
