"""Readable paths of operations: `process_order/notify#3/email(2)`.

An id says which call of which context an operation is, but nobody can read it. Its path says the same in words. The
runtime makes paths while the code runs and a recorded history is given paths afterwards, both by this rule, so that the
same operation has the same path on the recorded and on the replayed side.
"""

from __future__ import annotations

from functools import lru_cache

from durable_execution.protocol.enums import OperationSubType, OperationType

MAX_PATH_LENGTH = 4096
"""A longer path loses its middle: a thousand nested contexts would otherwise cost a megabyte each."""

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
    """The word for an operation of this type: `step`, `wait`, `callback`, `invoke`, `context`, `map`, `parallel`.

    A user's own subtype does not count, so that changing one does not rename an unnamed operation.
    """
    return KINDS_BY_SUBTYPE.get(subtype) or KINDS_BY_TYPE.get(type) or type.lower()  # type: ignore[call-overload]


class Labels:
    """Counts the calls of one context, so that each gets a label of its own."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str | tuple[str], int] = {}

    def label(self, kind: str, name: str | None) -> str:
        """The next call's label: its name, `name(2)` for the second of that name, `step(1)` for the first unnamed step.

        Args:
            kind: What the operation is, from `kind_of`.
            name: Its name; None when it has none.
        """
        seen = self._seen
        if not name:
            key = (kind,)
            count = seen[key] = seen.get(key, 0) + 1
            return f"{kind}({count})"
        count = seen[name] = seen.get(name, 0) + 1
        return name if count == 1 else f"{name}({count})"


def root_path(handler: str) -> str:
    """The path of the root context of a handler `module:qualname` (or of any other name)."""
    return handler.rpartition(":")[2].rpartition(".")[2] or handler


def child_path(parent: str, label: str) -> str:
    """The path of the call `label` in the context at `parent`."""
    return _bounded(f"{parent}/{label}")


def branch_path(path: str, index: int) -> str:
    """The path of branch `index` (from 0) of the map or parallel operation at `path`."""
    return _bounded(f"{path}#{index}")


def task_path(path: str, number: int) -> str:
    """The path of what task `number` (from 1) calls in the context at `path`."""
    return _bounded(f"{path}~{number}")


def _bounded(path: str) -> str:
    if len(path) <= MAX_PATH_LENGTH:
        return path
    return f"{path[: MAX_PATH_LENGTH // 4].rstrip(ELLIPSIS)}{ELLIPSIS}{path[-MAX_PATH_LENGTH // 2 :]}"
