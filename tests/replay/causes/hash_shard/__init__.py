"""hash() of a string picks the shard."""
