"""Tells contexts that do something new from those that only replay.

A context without a checkpoint (a flat branch) leaves no record of having been run: every invocation runs its body again.
Its span is worth sending once, by the invocation in which something happened in it that was not recorded before.
"""


class Novelty:
    """Watches the contexts of one invocation."""

    def __init__(self, *, is_first: bool) -> None:
        self._is_past_record = is_first
        self._touched: set[str] = set()
        self._empty: set[str] = set()

    def enter(self, context_id: str) -> None:
        """A context's body begins."""
        self._empty.add(context_id)

    def replay(self, context_id: str | None) -> None:
        """An operation inside was answered from the record."""
        self._empty.discard(context_id or "")

    def happen(self, context_id: str | None, *, is_virtual: bool) -> None:
        """An operation inside began, went on or ended in this invocation."""
        if context_id is not None:
            self._empty.discard(context_id)
            if not is_virtual:
                self._touched.add(context_id)
        self._is_past_record = self._is_past_record or not is_virtual

    def is_in(self, context_id: str, around: str | None) -> bool:
        """Whether the context, which ends, did something new. If so, the one around it did too."""
        is_new = context_id in self._touched or (context_id in self._empty and self._is_past_record)
        if is_new and around is not None:
            self._touched.add(around)
        return is_new
