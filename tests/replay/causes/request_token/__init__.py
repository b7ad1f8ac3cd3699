"""A uuid in a token names a step; the handler is a plain function."""
