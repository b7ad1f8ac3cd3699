"""A replay line by line: its frames, the lines they ran and the values of their variables."""
