"""Distinguishes contexts that do something new from contexts that only replay.

A virtual context leaves no record of having run: every invocation runs its body again. Its span is sent once, by the
invocation in which something new happened in it.
"""

from durable_execution.observers import OperationCall


class Novelty:
    """Watches the contexts of one invocation."""

    def __init__(self, *, is_first: bool) -> None:
        self._is_first = is_first
        self._started: set[str] = set()
        self._touched: set[str] = set()
        self._empty: set[str] = set()
        self._first_new: dict[str | None, int] = {}

    def begin(self, call: OperationCall) -> None:
        """Note a call that no earlier invocation recorded."""
        if call.is_virtual:
            self._empty.add(call.id)
            if self._must_be_new(call):
                self._started.add(call.id)
            self._fill(call.context_id)
            return
        self._started.add(call.id)
        first = self._first_new.get(call.context_id, call.position)
        self._first_new[call.context_id] = min(first, call.position)
        self.happen(call)

    def happen(self, call: OperationCall) -> None:
        """Note that an operation continued or ended."""
        if call.context_id is not None:
            self._empty.discard(call.context_id)
            self._touched.add(call.context_id)

    def replay(self, context_id: str | None) -> None:
        """Note that a call in a context was answered from the record."""
        self._fill(context_id)

    def is_in(self, call: OperationCall) -> bool:
        """Tell whether an ending virtual context did something new. If so, so did the context around it."""
        is_new = call.id in self._touched or (call.id in self._empty and call.id in self._started)
        if is_new and call.context_id is not None:
            self._touched.add(call.context_id)
        return is_new

    def _fill(self, context_id: str | None) -> None:
        if self._empty:
            self._empty.discard(context_id or "")

    def _must_be_new(self, call: OperationCall) -> bool:
        """Tell whether it is new: an earlier invocation would have recorded its context, or the calls before it."""
        return (
            self._is_first
            or call.context_id in self._started
            or self._first_new.get(call.context_id, call.position) < call.position
        )
