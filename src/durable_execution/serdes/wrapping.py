"""The form in which a serializer that wraps another one stores what it has made of the other's text.

It is a JSON object with one member, `{"durable:zlib":"..."}`, so that histories and consoles still show JSON, and so that text
that was stored before the wrapper came into use is told apart and read by the wrapped serializer alone.
"""

from __future__ import annotations

import json
from typing import Any

from durable_execution.errors import SerializationError

PREFIX = "durable:"


class Wrapping:
    """One wrapper's form.

    Args:
        kind: What the wrapper does, for example `zlib`.
    """

    __slots__ = ("_member", "_start")

    def __init__(self, kind: str) -> None:
        self._member = PREFIX + kind
        self._start = f'{{"{self._member}":'

    def wrap(self, content: Any) -> str:
        """The text that holds JSON-ready content."""
        return f"{self._start}{json.dumps(content, separators=(',', ':'))}}}"

    def is_wrapped(self, text: str) -> bool:
        """Whether this wrapper has written a text."""
        return text.startswith(self._start)

    def unwrap(self, text: str) -> Any:
        """The content of a wrapped text.

        Raises:
            SerializationError: It is damaged.
        """
        try:
            return json.loads(text)[self._member]
        except (ValueError, RecursionError) as error:
            raise SerializationError(f"stored text {text[:60]!r} is damaged: {error}") from None


def to_bytes(text: str) -> bytes:
    """A text as UTF-8; half a surrogate pair passes, as it does in JSON."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """The text of such bytes."""
    return data.decode("utf-8", "surrogatepass")
