"""Where a statement stands in its function: the loops and conditions around it, on both sides of an edit.

An edit can leave a call as it is and move it out of a loop, or into a condition. A report names that, not the argument that
changed on the same line.
"""

import ast
from collections.abc import Iterable, Mapping

from durable_execution.divergence import Side
from durable_execution.replay.source.statements import Source, Statement

MAX_HEADER = 60
HEADERS = (ast.If, ast.While, ast.For, ast.AsyncFor, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
LOOPS = (ast.While, ast.For, ast.AsyncFor)


def says(statement: Statement, side: Side) -> bool:
    """Whether a statement has the name of a call in it, as a text or as the name of the function that it runs."""
    name = side.name
    if name is None:
        return False
    nodes = [one for part in statement.parts for one in ast.walk(part)]
    named = [one.value for one in nodes if isinstance(one, ast.keyword) and one.arg == "name"]
    if named:
        return any(isinstance(one, ast.Constant) and one.value == name for one in named)
    texts = {one.value for one in nodes if isinstance(one, ast.Constant)}
    return name in texts or name in statement.mentions or name in statement.calls


def moved(before: Source, line: int, today: Source, now: int, kept: Mapping[int, int]) -> str:
    """Say how a statement moved between loops and conditions; empty where it did not, or where those were edited too.

    Args:
        before: The recorded source.
        line: The statement's recorded line.
        today: Today's source.
        now: Its line today.
        kept: Today's line of each recorded line that is unchanged.
    """
    old, new = before.at(line), today.at(now)
    if old is None or new is None:
        return ""
    around, around_now = _headers(before, old), {one.first: one for one in _headers(today, new)}
    known = set(kept.values())
    left = [one for one in around if one.first in kept and kept[one.first] not in around_now]
    if left:
        return f"moved out of {_named(left[-1])} on line {kept[left[-1].first]}"
    still = {kept.get(one.first) for one in around}
    entered = [one for first, one in around_now.items() if first not in still]
    gone = [one for one in around if one.first not in kept]
    if entered and (entered[-1].first in known or not gone):
        new_one = "" if entered[-1].first in known else "new "
        return f"moved into {_named(entered[-1], new_one)} on line {entered[-1].first}"
    return f"moved out of {_named(gone[-1])}, which was removed" if gone and not entered else ""


def line_of_call(source: Source, lines: Iterable[int], side: Side) -> int | None:
    """Return the one line among some whose statement makes a call; None where none does, or several do."""
    found = {one.first for one in map(source.at, lines) if one is not None and says(one, side)}
    return found.pop() if len(found) == 1 else None


def is_only_renamed(old: Statement | None, new: Statement | None, recorded: Side, replayed: Side) -> bool:
    """Whether two statements are the same apart from the name that they give their call."""
    if old is None or new is None or not recorded.name or not replayed.name:
        return False
    return _without_name(old, recorded.name) == _without_name(new, replayed.name) and says(new, replayed)


def _headers(source: Source, statement: Statement) -> list[Statement]:
    found = map(source.at, statement.parents)
    return [one for one in found if one is not None and isinstance(one.node, HEADERS) and one is not statement]


def _named(header: Statement, kind: str = "") -> str:
    text = header.text.strip().rstrip(":")
    shown = text if len(text) <= MAX_HEADER else f"{text[: MAX_HEADER - 1]}…"
    article = f"the {kind}" if kind else ""
    return f"the {kind}loop `{shown}`" if isinstance(header.node, LOOPS) else f"{article}`{shown}`"


def _without_name(statement: Statement, name: str) -> str:
    """The syntax of a statement, with a mark in place of each text that is the name."""
    return ";".join(ast.dump(part) for part in statement.parts).replace(f"Constant(value={name!r})", "Constant(name)")
