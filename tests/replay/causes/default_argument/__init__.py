"""A mutable default argument remembers warnings of earlier executions."""
