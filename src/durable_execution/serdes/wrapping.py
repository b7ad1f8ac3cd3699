"""The format in which a wrapping serializer stores the text of its inner serializer.

The format is a JSON object with one member, `{"durable:zlib":"..."}`. Histories and consoles still show JSON, and text that was
stored before the wrapper was introduced can be recognised and read by the inner serializer alone.
"""

from __future__ import annotations

import json
from typing import Any

from durable_execution.errors import SerializationError

PREFIX = "durable:"


class Wrapping:
    """The format of one wrapper.

    Args:
        kind: What the wrapper does, for example `zlib`.
    """

    __slots__ = ("_member", "_start")

    def __init__(self, kind: str) -> None:
        self._member = PREFIX + kind
        self._start = f'{{"{self._member}":'

    def wrap(self, content: Any) -> str:
        """Content, which must be JSON-serializable, as wrapped text."""
        return f"{self._start}{json.dumps(content, separators=(',', ':'))}}}"

    def is_wrapped(self, text: str) -> bool:
        """Whether this wrapper wrote the text."""
        return text.startswith(self._start)

    def unwrap(self, text: str) -> Any:
        """The content of a wrapped text.

        Raises:
            SerializationError: The text is damaged.
        """
        try:
            return json.loads(text)[self._member]
        except (ValueError, RecursionError) as error:
            raise SerializationError(f"stored text {text[:60]!r} is damaged: {error}") from None


def to_bytes(text: str) -> bytes:
    """A text as UTF-8. A lone surrogate is preserved, as it is in JSON."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """The text of bytes that `to_bytes` returned."""
    return data.decode("utf-8", "surrogatepass")
