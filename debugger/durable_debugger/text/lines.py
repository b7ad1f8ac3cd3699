"""Lines of text whose parts carry a role instead of a colour.

A view says *what* a part is (`ok`, `dim`, `divergence`); the theme of the app, or nothing at all when output goes to a
pipe, says how that looks. No meaning is carried by a role alone.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from durable_debugger.text.cells import ELLIPSIS, safe, take, width

ROLES = (
    "text",
    "dim",
    "name",
    "title",
    "key",
    "accent",
    "ok",
    "fail",
    "run",
    "wait",
    "off",
    "divergence",
    "follow_on",
    "recorded",
    "replayed",
    "match",
    "warning",
    "code_keyword",
    "code_string",
    "code_comment",
    "code_number",
    "code_name",
)


class Part(NamedTuple):
    """A piece of a line.

    Attributes:
        text: Safe text.
        role: One of `ROLES`.
    """

    text: str
    role: str = "text"


Line: TypeAlias = list[Part]


def line(*parts: str | tuple[str, str]) -> Line:
    """A line of parts, each a text or a text with its role."""
    return [Part(part) if isinstance(part, str) else Part(*part) for part in parts]


def plain(parts: Iterable[Part]) -> str:
    """The text of a line."""
    return "".join(part.text for part in parts)


def line_width(parts: Iterable[Part]) -> int:
    """Cells of a line."""
    return sum(width(part.text) for part in parts)


def fit(parts: Line, cells: int) -> Line:
    """The line in exactly that many cells: cut with an ellipsis, or filled with blanks."""
    total = line_width(parts)
    if total <= cells:
        return [*parts, Part(" " * (cells - total))] if total < cells else parts
    fitted: Line = []
    left = cells
    for part in parts:
        size = width(part.text)
        if size < left:
            fitted.append(part)
            left -= size
            continue
        if left > 0:
            shown = take(part.text, left - 1) + ELLIPSIS
            fitted.append(Part(shown + " " * (left - width(shown)), part.role))
        break
    return fitted


def column(parts: Line, at: int) -> Line:
    """The line filled with blanks up to a column, or followed by two blanks when it is longer."""
    missing = at - line_width(parts)
    return [*parts, Part(" " * missing if missing > 0 else "  ")]


def flush(left: Line, right: Line, cells: int) -> Line:
    """Two pieces on one line, the second at the right edge; the first gives way when there is no room."""
    right_width = line_width(right)
    if right_width >= cells:
        return fit(right, cells)
    room = cells - right_width
    is_tight = line_width(left) > room - 1
    return [*fit(left, max(room - 1, 0)), Part(" "), *right] if is_tight else [*fit(left, room), *right]


def words(text: str, role: str = "text") -> Line:
    """Any text as a line of one part, made safe."""
    return [Part(safe(text), role)]
