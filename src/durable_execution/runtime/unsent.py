"""Notes of unsent updates that outlive the process.

The start of a step is sent together with its result, to save a call. If the step ends the process, the start would never be
sent. The host of the process, such as `durable-debug serve`, therefore passes it an open file, and sends the updates noted in
the file after the process has ended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from durable_execution.protocol import Wire

_descriptor: int | None = None


def keep_notes_in(descriptor: int) -> None:
    """Write notes to an open file, starting with the next invocation."""
    global _descriptor  # noqa: PLW0603  # one file for the whole process
    _descriptor = descriptor


def notes() -> Callable[[str, Wire], None] | None:
    """A function that notes one update, given the token to send it with; None when the host has not passed a file."""
    return _Notes(_descriptor).add if _descriptor is not None else None


def read_notes(text: str) -> tuple[str, list[Wire]] | None:
    """The token and the updates that were noted last; None when there are none.

    Args:
        text: Content of the file. Its last line may be truncated.
    """
    last, updates = "", list[Wire]()
    for line in text.split("\n")[:-1]:
        token, update = json.loads(line)
        if token != last:
            last, updates = token, []
        updates.append(update)
    return (last, updates) if updates else None


class _Notes:
    """The notes of one invocation. Updates noted with an earlier token have been sent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._token: str | None = None

    def add(self, token: str, update: Wire) -> None:
        if token != self._token:
            self._token = token
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, f"{json.dumps([token, update])}\n".encode())
