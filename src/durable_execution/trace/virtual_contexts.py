"""Virtual contexts that an invocation enters again, which a trace has in the lines of the invocation that entered them first.

A virtual context leaves no record, so the runtime announces it in every invocation as if it were new. If each of them got a line
each time, the trace of a loop of them, or of a flat map, would grow with the square of the number of calls. So the line is held
back. Recorded calls in the context, or after it, show that an earlier invocation entered it. It gets a line of its own once
something new happens in it.
"""

from collections.abc import Container
from datetime import datetime
from typing import Any

from durable_execution.observers import OperationCall
from durable_execution.protocol.ids import operation_id, task_prefix
from durable_execution.trace.call_text import End
from durable_execution.trace.repeats import RuntimeCall

FIRST_CALLS = (1, 2, 3)
"""Calls that show that a context was entered before. One call may leave no record, but three in a row hardly ever do."""

MAX_NESTED = 3
"""Virtual contexts within each other, each the first call of the one around it, that are looked into."""


class HeldContext:
    """A virtual context without a line in this invocation.

    Attributes:
        call: The context.
        at: When it was entered.
        index: How many repeated calls were collected before it.
        was_entered: Whether an earlier invocation is known to have entered it.
        ended: Its end, if it has ended.
    """

    __slots__ = ("at", "call", "ended", "index", "was_entered")

    def __init__(self, call: RuntimeCall | OperationCall, at: datetime, index: int, *, was_entered: bool) -> None:
        self.call, self.at, self.index, self.was_entered = call, at, index, was_entered
        self.ended: End | None = None

    @property
    def wire(self) -> dict[str, Any]:
        """The end of the context as if it were recorded."""
        if self.ended is None:
            return {}
        _, status, _, result, error = self.ended
        details = {
            **({"Result": result} if result is not None else {}),
            **({"Error": error.to_wire()} if error is not None else {}),
        }
        return {"Type": self.call.type, "Status": status, "ContextDetails": details}


class VirtualContexts:
    """The virtual contexts of one invocation.

    Args:
        recorded: Ids of the recorded operations.

    Attributes:
        held: Those without a line, in the order in which they were entered.
        unproven: Those of which nothing shows yet that an earlier invocation entered them, by the context they are in.
    """

    def __init__(self, recorded: Container[str]) -> None:
        self._recorded = recorded
        self.held: dict[str, HeldContext] = {}
        self.unproven: dict[str | None, list[HeldContext]] = {}
        self._around: dict[str, tuple[str | None, str]] = {}
        self._by_path: dict[str, str] = {}

    def enter(self, call: RuntimeCall | OperationCall, at: datetime, index: int) -> list[HeldContext]:
        """Hold back a context. Returns those that this shows to be entered before; see `proven_by`."""
        self.note(call)
        was_entered = self._was_entered(call.id, 1)
        found = self.held[call.id] = HeldContext(call, at, index, was_entered=was_entered)
        if was_entered:
            return self.proven_by(call.context_id, call.position) if self.unproven else []
        self.unproven.setdefault(call.context_id, []).append(found)
        return []

    def note(self, call: RuntimeCall | OperationCall) -> None:
        """Note which context a context is in."""
        around = call.path.rpartition("/")[0]
        self._around[call.id] = call.context_id, around
        self._by_path[call.path] = call.id

    def _was_entered(self, prefix: str, depth: int) -> bool:
        """Whether calls of a context are recorded: its own, of its first task, or of a virtual context that it begins with."""
        recorded, first = self._recorded, operation_id(prefix, 1)
        if first in recorded:
            return True
        task = task_prefix(prefix, 1)
        others = (operation_id(each, number) for each in (prefix, task) for number in FIRST_CALLS)
        return any(each in recorded for each in others) or (depth < MAX_NESTED and self._was_entered(first, depth + 1))

    def proven_by(self, context_id: str | None, position: int) -> list[HeldContext]:
        """Return the contexts before a recorded call in the same context: code makes calls in order, so they were entered before."""
        waiting = self.unproven.pop(context_id, [])
        later = [each for each in waiting if each.call.position >= position]
        if later:
            self.unproven[context_id] = later
        found = [each for each in waiting if each.call.position < position]
        for each in found:
            each.was_entered = True
        return found

    def release(self, call: RuntimeCall | OperationCall) -> list[HeldContext]:
        """Return the contexts that need a line before a new line of a call, in order: those around it, and the unproven ones.

        If it is unknown which contexts are around a call, that is all of them.
        """
        around = self._all_around(call)
        if around is None:
            found = list(self.held.values())
        else:
            unproven = {each.call.id for waiting in self.unproven.values() for each in waiting}
            found = [each for id_, each in self.held.items() if id_ in around or id_ in unproven]
        for each in found:
            del self.held[each.call.id]
        self.unproven.clear()
        return found

    def _all_around(self, call: RuntimeCall | OperationCall) -> set[str] | None:
        """Return the ids of a call and of everything around it; None if that is unknown."""
        found = {call.id}
        prefix, path = call.context_id, call.path.rpartition("/")[0]
        while prefix is not None:
            found.add(prefix)
            if prefix not in self._around and not self._find_task(prefix, path):
                return None
            prefix, path = self._around[prefix]
        return found

    def _find_task(self, prefix: str, path: str) -> bool:
        """Note which context the task is in that makes the calls at a path. Returns whether it is known."""
        base, *numbers = path.split("~")
        if not numbers or not all(number.isascii() and number.isdecimal() for number in numbers):
            return False
        context = self._by_path.get(base)
        found = context
        for number in numbers:
            found = task_prefix(found, int(number))
        if found == prefix:
            self._around[prefix] = context, base
        return found == prefix
