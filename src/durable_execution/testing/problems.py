"""Errors that a runner raises when it cannot do what a test requests.

The module is separate so that look-ups and runners can both import it.
"""

from durable_execution.errors import DurableError


class RunnerError(DurableError):
    """The execution cannot do what the test requests: it waits for a different operation, hangs, or has ended."""


class OperationNotFoundError(DurableError, LookupError):
    """No operation, or more than one, matches the look-up."""
