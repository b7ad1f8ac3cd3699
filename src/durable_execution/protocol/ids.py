"""Operation ids: a hash of the call's number and its context.

The derivation is the same as in AWS's SDK for Python, so that executions, tools and histories are interchangeable: the first
64 hex characters of blake2b-512 of `"<prefix>-<n>"`. The prefix is the id of the enclosing context; the root has none.

A path identifies the same call in words: `process_order/notify#3/email(2)`. The runtime creates paths while the code runs, and a
history reader creates them from the recorded events. Both use the rule here, so an operation has the same path on the recorded
and the replayed side.
"""

from __future__ import annotations

from functools import cache, lru_cache
from hashlib import blake2b

from durable_execution.protocol.enums import OperationSubType, OperationType

MAX_PATH_LENGTH = 4096
"""A longer path loses its middle: without a limit, a thousand nested contexts cost a megabyte each."""

REMEMBERED_IDS = 1024
"""How many ids of the root context a process remembers: an eighth of a megabyte."""

ELLIPSIS = "…"
KINDS_BY_SUBTYPE = {
    OperationSubType.MAP: "map",
    OperationSubType.PARALLEL: "parallel",
    OperationSubType.WAIT_FOR_CALLBACK: "wait_for_callback",
    OperationSubType.WAIT_FOR_CONDITION: "wait_for_condition",
}
KINDS_BY_TYPE = {OperationType.CHAINED_INVOKE: "invoke"}


def operation_id(prefix: str | None, position: int) -> str:
    """Return the id of the n-th operation of a context.

    Args:
        prefix: Id of the enclosing context; None in the root context.
        position: 1 for the first call of the context, 2 for the second, in call order.

    Returns:
        64 lower-case hexadecimal characters.
    """
    if not prefix:
        return _root_id(position) if position <= REMEMBERED_IDS else _hashed(str(position))
    return _hashed(f"{prefix}-{position}")


def _hashed(source: str) -> str:
    return blake2b(source.encode()).hexdigest()[:64]


@cache
def _root_id(position: int) -> str:
    """The id of a call of the root context. It is the same in all executions, and every invocation asks for it."""
    return _hashed(str(position))


def task_prefix(prefix: str | None, number: int) -> str:
    """Return the id prefix of the calls that a task makes, in place of its context's own prefix.

    Args:
        prefix: Prefix of the context or task that created the task; None in the root context.
        number: 1 for the first task created there.
    """
    return _hashed(f"{prefix}-task-{number}" if prefix else f"task-{number}")


def branch_id(operation: str, index: int) -> str:
    """Return the id of branch `index` (from 0) of a map or parallel operation."""
    return _hashed(f"{operation}-{index}")


@lru_cache(maxsize=256)
def kind_of(type: str, subtype: str | None) -> str:  # noqa: A002  # the protocol's word
    """Return the kind of an operation: `step`, `wait`, `callback`, `invoke`, `context`, `map` or `parallel`.

    A user's own subtype is ignored, so changing one does not rename an unnamed operation.
    """
    return KINDS_BY_SUBTYPE.get(subtype) or KINDS_BY_TYPE.get(type) or type.lower()  # type: ignore[call-overload]


class Labels:
    """Counts the calls of one context, so that each gets a unique label."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str | tuple[str], int] = {}

    def label(self, kind: str, name: str | None) -> str:
        """Return the next call's label: its name, `name(2)` for the second of that name, `step(1)` for an unnamed step.

        Args:
            kind: Kind of the operation, from `kind_of`.
            name: Name of the operation; None if it has none.
        """
        if not name:
            key = (kind,)
            count = self._seen[key] = self._seen.get(key, 0) + 1
            return f"{kind}({count})"
        again = self.again(name)
        if again is None:
            self._seen[name] = 1
        return again or name

    def again(self, name: str) -> str | None:
        """Return the next call's label if there was a call of that name before; else None."""
        count = self._seen.get(name)
        if count is None:
            return None
        self._seen[name] = count = count + 1
        return f"{name}({count})"


def root_path(handler: str) -> str:
    """Return the path of the root context of a handler `module:qualname` (or of any other name)."""
    return handler.rpartition(":")[2].rpartition(".")[2] or handler


def child_path(parent: str, label: str) -> str:
    """Return the path of the call `label` in the context at `parent`."""
    return _bounded(f"{parent}/{label}")


def branch_path(path: str, index: int) -> str:
    """Return the path of branch `index` (from 0) of the map or parallel operation at `path`."""
    return _bounded(f"{path}#{index}")


def task_path(path: str, number: int) -> str:
    """Return the path prefix of the calls of task `number` (from 1) in the context at `path`."""
    return _bounded(f"{path}~{number}")


def _bounded(path: str) -> str:
    if len(path) <= MAX_PATH_LENGTH:
        return path
    return f"{path[: MAX_PATH_LENGTH // 4].rstrip(ELLIPSIS)}{ELLIPSIS}{path[-MAX_PATH_LENGTH // 2 :]}"
