"""Writes results to stdout and messages to stderr. Colors only on a terminal, and never with NO_COLOR."""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from durable_debugger.text.glyphs import to_ascii
from durable_debugger.text.segments import Line, Part

ANSI = {
    "dim": "2",
    "title": "1",
    "key": "2",
    "accent": "1;33",
    "ok": "36",
    "fail": "1;33",
    "run": "34",
    "wait": "33",
    "off": "2",
    "divergence": "1;7",
    "follow_on": "2",
    "recorded": "34",
    "replayed": "33",
    "warning": "1;33",
}
DEFAULT_WIDTH = 100


class Output:
    """The streams that a verb writes to.

    Args:
        is_ascii: Whether to write ASCII only; None decides by the stream's encoding.
        data: Stream for results.
        narration: Stream for messages.
    """

    def __init__(
        self, *, is_ascii: bool | None = None, data: TextIO | None = None, narration: TextIO | None = None
    ) -> None:
        self.data = data or sys.stdout
        self.narration = narration or sys.stderr
        encoding = (getattr(self.data, "encoding", None) or "utf-8").lower().replace("-", "")
        self.is_ascii = encoding not in ("utf8", "utf16") if is_ascii is None else is_ascii

    @property
    def is_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return self.data.isatty()

    @property
    def width(self) -> int:
        """Width of the output, in columns."""
        try:
            return int(os.environ["COLUMNS"])
        except (KeyError, ValueError):
            pass
        try:
            return os.get_terminal_size(self.data.fileno()).columns
        except (OSError, ValueError, AttributeError):
            return DEFAULT_WIDTH

    def line(self, parts: Line | str = "") -> None:
        """Write a line to stdout."""
        self._write(self.data, parts)

    def lines(self, lines: Iterable[Line]) -> None:
        """Write lines to stdout."""
        for parts in lines:
            self.line(parts)

    def json(self, value: Any) -> None:
        """Write a value to stdout as JSON."""
        json.dump(value, self.data, indent=2, default=str, ensure_ascii=self.is_ascii)
        self.data.write("\n")

    def say(self, parts: Line | str) -> None:
        """Write a line to stderr."""
        self._write(self.narration, parts)

    @property
    def can_ask(self) -> bool:
        """Whether a person can answer: stdin and stderr are terminals."""
        return sys.stdin is not None and sys.stdin.isatty() and self.narration.isatty()

    def is_confirmed(self, question: str) -> bool:
        """Ask a question on the terminal; anything but yes means no."""
        self.narration.write(f"{question} [y/N] ")
        self.narration.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def show(self, text: str) -> None:
        """Show progress in place, if stderr is a terminal; an empty text removes it."""
        if self.narration.isatty():
            self.narration.write(f"\r\x1b[K{text}")
            self.narration.flush()

    def _write(self, stream: TextIO, parts: Line | str) -> None:
        parts = [Part(parts)] if isinstance(parts, str) else parts
        is_coloured = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        text = "".join(self._part(part, is_coloured=is_coloured) for part in parts)
        stream.write(text.rstrip(" ") + "\n")
        if stream is self.narration:
            stream.flush()

    def _part(self, part: Part, *, is_coloured: bool) -> str:
        text = to_ascii(part.text) if self.is_ascii else part.text
        code = ANSI.get(part.role)
        return f"\x1b[{code}m{text}\x1b[0m" if is_coloured and code and text.strip() else text
