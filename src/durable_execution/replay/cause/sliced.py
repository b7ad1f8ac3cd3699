"""What a slice finds: the statements that make a difference, and the branch through which they reach a call.

A slice follows values by recursion, and a value that a loop carries on is followed turn by turn. So its steps bound how deep it
goes, and not Python's recursion limit.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from durable_execution.replay.lines.line_recording import NOTHING, Values
from durable_execution.replay.source.statements import Statement

MAX_STEPS = 2_000
FRAMES_A_STEP = 8
_raising = Lock()


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Allow recursion as deep as `MAX_STEPS` steps of a slice."""
    with _raising:  # all threads have one limit
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + FRAMES_A_STEP * MAX_STEPS)
        try:
            yield
        finally:
            sys.setrecursionlimit(limit)


@dataclass(frozen=True, slots=True)
class Origin:
    """A statement that makes the difference.

    Attributes:
        file: Its file.
        line: Its first line.
        statement: The statement.
        kept: The name whose value was kept from before the replay, if that is how it differs.
        is_default: Whether `kept` is a parameter whose default value was kept.
        is_opaque: Whether `kept` is an object whose value is not shown, and may have nothing to do with it.
        is_skipped: Whether it writes `kept` in a function that the replay did not run again, such as the body of a step.
        never_ran: Whether it changes `kept` in a function that the replay did not call: an import or an earlier execution did.
        is_concurrent: Whether it changes a list or queue that several tasks change, after an `await`.
        shows_address: Whether it makes a text with the address of an object.
        depth: Steps from the parting call.
        values: The values that differ, of the first and the second replay.
        reads: The values that it read, as texts.
    """

    file: str
    line: int
    statement: Statement
    kept: str | None = None
    is_default: bool = False
    depth: int = 0
    values: tuple[str, str] | None = None
    reads: Values = field(default_factory=lambda: NOTHING)
    is_skipped: bool = False
    is_opaque: bool = False
    shows_address: bool = False
    never_ran: bool = False
    is_concurrent: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The branch, loop or call nearest to the parting call that went differently."""

    file: str
    line: int
    statement: Statement
