"""The objects passed to user code: the durable context, and the context of a step's body."""
