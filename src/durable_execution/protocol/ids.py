"""Operation ids: a hash of the call's number and its context.

The derivation is the same as in AWS's SDK for Python, so that executions, tools and histories are interchangeable: the first
64 hex characters of blake2b-512 of `"<prefix>-<n>"`. The prefix is the id of the enclosing context; the root has none.
"""

from __future__ import annotations

from hashlib import blake2b


def operation_id(prefix: str | None, position: int) -> str:
    """Return the id of the n-th operation of a context.

    Args:
        prefix: Id of the enclosing context; None in the root context.
        position: 1 for the first call of the context, 2 for the second, in call order.

    Returns:
        64 lower-case hexadecimal characters.
    """
    source = f"{prefix}-{position}" if prefix else str(position)
    return blake2b(source.encode()).hexdigest()[:64]


def task_prefix(prefix: str | None, number: int) -> str:
    """Return the id prefix of the calls that a task makes, in place of its context's own prefix.

    Args:
        prefix: Prefix of the context or task that created the task; None in the root context.
        number: 1 for the first task created there.
    """
    source = f"{prefix}-task-{number}" if prefix else f"task-{number}"
    return blake2b(source.encode()).hexdigest()[:64]


def branch_id(operation: str, index: int) -> str:
    """Return the id of branch `index` (from 0) of a map or parallel operation."""
    return blake2b(f"{operation}-{index}".encode()).hexdigest()[:64]
