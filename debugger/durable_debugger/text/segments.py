"""Lines of text whose segments have a role instead of a color.

A view says *what* a segment is (`ok`, `dim`, `divergence`). The theme of the app says how it looks; output to a pipe has
no styles. No meaning depends on a role alone.
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
    """A segment of a line.

    Attributes:
        text: Safe text.
        role: One of `ROLES`.
    """

    text: str
    role: str = "text"


Line: TypeAlias = list[Part]


def line(*parts: str | tuple[str, str]) -> Line:
    """Build a line from segments, each a text or a text with its role."""
    return [Part(part) if isinstance(part, str) else Part(*part) for part in parts]


def plain(parts: Iterable[Part]) -> str:
    """Return the text of a line."""
    return "".join(part.text for part in parts)


def line_width(parts: Iterable[Part]) -> int:
    """Return the width of a line in cells."""
    return sum(width(part.text) for part in parts)


def fit(parts: Line, cells: int) -> Line:
    """Fit the line to exactly that many cells: cut with an ellipsis, or filled with blanks."""
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
    """Fill the line with blanks up to a column, or append two blanks when it is longer."""
    missing = at - line_width(parts)
    return [*parts, Part(" " * missing if missing > 0 else "  ")]


def flush(left: Line, right: Line, cells: int) -> Line:
    """Put two lines on one, the second flush right; the first is cut when there is no room."""
    right_width = line_width(right)
    if right_width >= cells:
        return fit(right, cells)
    room = cells - right_width
    is_tight = line_width(left) > room - 1
    return [*fit(left, max(room - 1, 0)), Part(" "), *right] if is_tight else [*fit(left, room), *right]


def words(text: str, role: str = "text") -> Line:
    """Make any text a safe line of one segment."""
    return [Part(safe(text), role)]
