"""What user code is handed: the durable context, and what a step's body gets."""
