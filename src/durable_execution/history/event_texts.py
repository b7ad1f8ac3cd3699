"""The events of a large history, each parsed when it is looked at.

The text of an event takes about a quarter of the memory of its values, and few events are looked at a second time.
"""

import json
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from durable_execution.history.event_fold import Fold, fold_events
from durable_execution.protocol import Wire

LARGE_TEXT = 4_000_000
"""Characters of a history from which on its events stay text."""
OPENING = re.compile(r'\s*(?P<head>\{\s*(?:"DurableExecutionArn"\s*:\s*"[^"\\]*"\s*,\s*)?"Events"\s*:\s*)?\[\s*(?=\{)')
BETWEEN = re.compile(r"\s*,\s*(?=\{)")
CLOSING = re.compile(r"\s*\]\s*")
EVENTS, ENDS_INVOCATION = "Events", "InvocationCompleted"


class UnusualTextError(Exception):
    """The text is not a plain list of events in order: parse the whole of it."""


class EventTexts(Sequence[Wire]):
    """The events of a history, kept as its text.

    Args:
        text: A JSON list of events, or an object with the events as `Events`.

    Attributes:
        arn: The execution's ARN, where the text has it.
        fold: What the events say, read in one pass.

    Raises:
        UnusualTextError: The events are not numbered in order, or the text is a different document.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode
        self._starts = array("q")
        self._has_invocation_events = f'"{ENDS_INVOCATION}"' in text
        self.arn: str | None = None
        guess = self._has_invocation_events
        self.fold: Fold = fold_events(self._read(), has_invocation_events=guess)
        if self._has_invocation_events != guess:  # it is a name or escaped
            self.fold = fold_events(self._read(), has_invocation_events=self._has_invocation_events)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Wire: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Wire]: ...
    def __getitem__(self, index: int | slice) -> Wire | Sequence[Wire]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        event: Wire = self._scan(self._text, self._starts[index])[0]
        return event

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (EventTexts, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # like a tuple of dictionaries

    def _read(self) -> Iterator[tuple[int, Wire]]:
        """Yield the events with their numbers, and remember where they are.

        Raises:
            UnusualTextError: As for the class.
        """
        opening = OPENING.match(self._text)
        if opening is None:
            raise UnusualTextError
        self._starts, self._has_invocation_events = array("q"), False
        at, before = opening.end(), 0
        while True:
            event, end = self._event(at)
            number, kind = event.get("EventId"), event.get("EventType")
            if type(number) is not int or number <= before or kind is None:
                raise UnusualTextError
            self._starts.append(at)
            self._has_invocation_events |= kind == ENDS_INVOCATION
            yield number, event
            before = number
            following = BETWEEN.match(self._text, end)
            if following is None:
                break
            at = following.end()
        self._close(opening["head"], end)

    def _event(self, at: int) -> tuple[Wire, int]:
        try:
            return self._scan(self._text, at)
        except (ValueError, RecursionError):
            raise UnusualTextError from None

    def _close(self, head: str | None, end: int) -> None:
        """Read what surrounds the events."""
        closing = CLOSING.match(self._text, end)
        rest = self._text[closing.end() :] if closing is not None else ""
        if closing is None or (head is None and rest):
            raise UnusualTextError
        if head is None:
            return
        try:
            members: list[tuple[str, Any]] = json.loads(f"{head}0{rest}", object_pairs_hook=list)
        except (ValueError, RecursionError):
            raise UnusualTextError from None
        if [name for name, _ in members].count(EVENTS) != 1:
            raise UnusualTextError
        arn = dict(members).get("DurableExecutionArn")
        self.arn = arn if isinstance(arn, str) and arn else None
