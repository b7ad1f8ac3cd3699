"""Tells contexts that do something new from those that only replay.

A context without a checkpoint (a flat branch) leaves no record of having been run: every invocation runs its body again.
Its span is worth sending once, by the invocation in which something happened in it that was not recorded before.
"""

from durable_execution.observers import OperationCall


class Novelty:
    """Watches the contexts of one invocation."""

    def __init__(self, *, is_first: bool) -> None:
        self._is_first = is_first
        self._begun: set[str] = set()
        self._touched: set[str] = set()
        self._empty: set[str] = set()
        self._first_new: dict[str | None, int] = {}

    def begin(self, call: OperationCall) -> None:
        """A call was made that no earlier invocation has recorded."""
        if call.is_virtual:
            self._empty.add(call.id)
            if self._must_be_new(call):
                self._begun.add(call.id)
            self._fill(call.context_id)
            return
        self._begun.add(call.id)
        first = self._first_new.get(call.context_id, call.position)
        self._first_new[call.context_id] = min(first, call.position)
        self.happen(call)

    def happen(self, call: OperationCall) -> None:
        """An operation went on or ended."""
        if call.context_id is not None:
            self._empty.discard(call.context_id)
            self._touched.add(call.context_id)

    def replay(self, call: OperationCall) -> None:
        """A call was answered from the record."""
        self._fill(call.context_id)

    def is_in(self, call: OperationCall) -> bool:
        """Whether a context without a checkpoint, which ends, did something new. If so, the one around it did too."""
        is_new = call.id in self._touched or (call.id in self._empty and call.id in self._begun)
        if is_new and call.context_id is not None:
            self._touched.add(call.context_id)
        return is_new

    def _fill(self, context_id: str | None) -> None:
        self._empty.discard(context_id or "")

    def _must_be_new(self, call: OperationCall) -> bool:
        """An earlier invocation would have recorded the context around it, or the calls before it."""
        return (
            self._is_first
            or call.context_id in self._begun
            or self._first_new.get(call.context_id, call.position) < call.position
        )
