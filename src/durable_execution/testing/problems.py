"""What a runner says when a test asks for something that cannot be."""

from durable_execution.errors import DurableError


class RunnerError(DurableError):
    """The execution cannot do what the test asks for: it waits for something else, hangs, or has ended."""


class OperationNotFoundError(DurableError, LookupError):
    """No operation, or more than one, is what the test looks for."""
