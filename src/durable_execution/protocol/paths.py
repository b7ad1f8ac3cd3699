"""Readable paths of operations: `process_order/notify#3/email(2)`.

An id identifies a call of a context, but it is a hash. A path identifies the same call in words. The runtime creates paths
while the code runs, and a history reader creates them from the recorded events. Both use this rule, so an operation has the
same path on the recorded and the replayed side.
"""

from __future__ import annotations

from functools import lru_cache

from durable_execution.protocol.enums import OperationSubType, OperationType

MAX_PATH_LENGTH = 4096
"""A longer path loses its middle: without a limit, a thousand nested contexts cost a megabyte each."""

ELLIPSIS = "…"

KINDS_BY_SUBTYPE = {
    OperationSubType.MAP: "map",
    OperationSubType.PARALLEL: "parallel",
    OperationSubType.WAIT_FOR_CALLBACK: "wait_for_callback",
    OperationSubType.WAIT_FOR_CONDITION: "wait_for_condition",
}
KINDS_BY_TYPE = {OperationType.CHAINED_INVOKE: "invoke"}


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
        seen = self._seen
        if not name:
            key = (kind,)
            count = seen[key] = seen.get(key, 0) + 1
            return f"{kind}({count})"
        count = seen[name] = seen.get(name, 0) + 1
        return name if count == 1 else f"{name}({count})"


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
