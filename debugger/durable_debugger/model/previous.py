"""The previous value of a call: from its previous attempt, or from the previous call with the same name."""

from difflib import SequenceMatcher
from itertools import takewhile
from typing import NamedTuple

from durable_debugger.model.session import Session

MAX_LINES = 2_000
"""Values longer than this are not compared line by line."""


class Previous(NamedTuple):
    """An earlier value.

    Attributes:
        whose: Description of where the value comes from.
        payload: The value, serialized.
    """

    whose: str
    payload: str


def previous_result(session: Session, row: int) -> Previous | None:
    """The previous attempt's result, or that of the previous call with the same name in the same context."""
    operation = session.operations[row]
    for attempt in reversed(operation.attempts[:-1]):
        if attempt.result is not None:
            return Previous(f"attempt {attempt.number}", attempt.result)
    if not operation.name:
        return None
    found: Previous | None = None
    for other in takewhile(row.__gt__, session.outline.children(session.outline.parent(row))):
        before = session.operations[other]
        if before.name == operation.name and before.result is not None:
            found = Previous(f"the {operation.name} before", before.result)
    return found


def changes(before: list[str], after: list[str]) -> list[tuple[str, str]]:
    """Return the differing lines in order, each with `-` or `+`; none when there are too many lines to compare."""
    if max(len(before), len(after)) > MAX_LINES:
        return []
    found: list[tuple[str, str]] = []
    for tag, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            found += [("-", text) for text in before[start:end]]
            found += [("+", text) for text in after[new_start:new_end]]
    return found
