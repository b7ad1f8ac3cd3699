"""Exit codes, which scripts and CI rely on.

Reports that an execution was not found: where the search looked, similar executions, what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum

from durable_debugger.cli.output import Output
from durable_debugger.model.facts import state_of
from durable_debugger.sources.found import AmbiguousError, Listed, NotFoundError
from durable_debugger.text.cells import pad, safe, width
from durable_debugger.text.durations import age
from durable_execution.clock import SystemClock


class Exit(IntEnum):
    """Exit code of the process."""

    OK = 0
    DIVERGED = 1
    USAGE = 2
    UNLOADABLE = 3
    HANDLER_FAILED = 4
    INTERRUPTED = 130


class CommandError(Exception):
    """A verb cannot continue.

    Attributes:
        exit: Exit code of the process.
    """

    def __init__(self, message: str, exit: Exit = Exit.USAGE) -> None:  # noqa: A002  # the field's own term
        super().__init__(message)
        self.exit = exit


def say_not_found(error: NotFoundError, output: Output, verbs: Iterable[str] = ()) -> None:
    """Print where the search looked, the closest matches and the next command.

    Args:
        error: What was looked for, and where.
        output: Where it is printed.
        verbs: The verbs of the command: one of them may have been meant.
    """
    output.say(f"durable-debug: {error}")
    columns = max(width(safe(place)) for place, _ in error.looked_in)
    for index, (place, finding) in enumerate(error.looked_in):
        output.say(f"  {'searched' if not index else '':<10} {pad(safe(place), columns)}  {safe(finding)}")
    for index, each in enumerate(error.nearest):
        output.say(f"  {'closest' if not index else '':<10} {describe(each)}")
    meant = get_close_matches(error.reference.casefold(), verbs, n=1)
    if meant:
        output.say(f"  did you mean the verb  durable-debug {meant[0]}")
    output.say("  to list all  durable-debug list")


def say_ambiguous(error: AmbiguousError, output: Output) -> None:
    """Print the executions that the reference matches."""
    output.say(f"durable-debug: {error}; be more specific:")
    for each in error.candidates[:10]:
        output.say(f"  {describe(each)}")
    if len(error.candidates) > 10:
        output.say(f"  and {len(error.candidates) - 10} more")


def describe(each: Listed) -> str:
    """An execution in one line."""
    state = state_of(each.status)
    when = age(each.started_at, SystemClock().now()) if each.started_at else ""
    return f"{pad(safe(each.name), 28)}  {pad(safe(each.id), 36)}  {state.glyph} {each.status:<10} {when}"
