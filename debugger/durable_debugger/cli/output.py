"""Writes results to stdout and messages to stderr. Colors only on a terminal, and never with NO_COLOR.

Nothing that is written can control the terminal or fails in its encoding: control characters are escaped, and a terminal
without Unicode gets ASCII. JSON on stdout is one document, with the exit code of the process in it.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from durable_debugger.text.glyphs import to_ascii
from durable_debugger.text.segments import Line, Part
from durable_execution.protocol.safe_text import escaped_json, json_text, printable

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
UNICODE = ("utf8", "utf16", "utf32")
JSON_FORMATS = ("json", "sarif")
XML_FORMATS = ("junit", "html")


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
        self.is_ascii = not is_unicode(self.data) if is_ascii is None else is_ascii
        self._is_narration_ascii = self.is_ascii or not is_unicode(self.narration)
        self.has_document = False

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

    def document(self, value: Mapping[str, Any], exit_code: int) -> int:
        """Write the one JSON document of a verb to stdout, with the exit code of the process in it.

        Returns:
            The exit code.
        """
        members = {"exit_code": 0} | dict(value) | {"exit_code": int(exit_code)}
        self.has_document = True
        self.data.write(json_text(members, is_ascii=self.is_ascii) + "\n")
        return int(exit_code)

    def text(self, text: str, format: str = "text") -> None:  # noqa: A002  # the option's name
        """Write text in one of the formats of reports to stdout."""
        if format in JSON_FORMATS:
            self.has_document = True
            self.data.write(escaped_json(text, is_ascii=self.is_ascii))
        elif format in XML_FORMATS:
            self.data.write(text.encode("ascii", "xmlcharrefreplace").decode() if self.is_ascii else text)
        else:
            shown = printable(text)
            self.data.write(to_ascii(shown) if self.is_ascii else shown)

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
        is_ascii = self._is_narration_ascii if stream is self.narration else self.is_ascii
        text = "".join(_part(part, is_coloured=is_coloured, is_ascii=is_ascii) for part in parts)
        stream.write(text.rstrip(" ") + "\n")
        if stream is self.narration:
            stream.flush()


def is_unicode(stream: TextIO) -> bool:
    """Whether a stream shows more than ASCII: by its encoding, or by a locale that says C.

    Python writes UTF-8 where the locale is C (PEP 540), to lose nothing; a terminal with that locale shows ASCII only.
    """
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "")
    if not encoding.startswith(UNICODE):
        return False
    environ = os.environ
    if environ.get("PYTHONIOENCODING") or environ.get("PYTHONUTF8"):
        return True  # the user decided
    return (environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG")) not in ("C", "POSIX")


def _part(part: Part, *, is_coloured: bool, is_ascii: bool) -> str:
    text = printable(part.text)
    if is_ascii:
        text = to_ascii(text)
    code = ANSI.get(part.role)
    return f"\x1b[{code}m{text}\x1b[0m" if is_coloured and code and text.strip() else text
