"""The documentation's pages, and the Python in them.

The blocks of a page are one program, read from top to bottom. A line `#> text` says what the `print` before it prints.
A block marked ```` ```python notest ```` is only compiled. A page with a comment `<!-- own process: why -->` gets one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`]*)$")
PRINTED = re.compile(r"^ *# ?> ?(?P<text>.*)$")  # the formatter puts a blank after the #


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: First word after the fence.
        options: The other words.
        line: Line of the page its code starts at, from 1.
        text: The code.
    """

    language: str
    options: frozenset[str]
    line: int
    text: str


def pages() -> list[Path]:
    """README and everything in docs/."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def title(page: Path) -> str:
    """The page as seen from the root of the repository."""
    return str(page.relative_to(REPOSITORY))


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    info: list[str] | None = None
    start = 0
    for number, line in enumerate(lines, start=1):
        fence = FENCE.match(line)
        if fence is None:
            continue
        if info is None:
            info, start = fence["info"].split() or [""], number
        else:
            yield Block(info[0], frozenset(info[1:]), start + 1, "\n".join(lines[start : number - 1]))
            info = None


def program(page: Path) -> str:
    """The page's Python as one program, each line at its place in the page so that tracebacks point there."""
    program_lines: list[str] = []
    for block in blocks(page):
        if block.language == "python" and "notest" not in block.options:
            program_lines += [""] * (block.line - 1 - len(program_lines))
            program_lines += block.text.splitlines()
    return "\n".join(program_lines) + "\n"


def printed(page: Path) -> list[str]:
    """What the page says its program prints."""
    return [match["text"] for line in program(page).splitlines() if (match := PRINTED.match(line))]


def needs_own_process(page: Path) -> bool:
    """Whether its program changes what is global to a process."""
    return "<!-- own process:" in page.read_text(encoding="utf-8")
