"""Notes of updates that have not been sent, which outlive the process.

That a step has begun is sent with its result, to save a call. If the step ends the process, it would never be sent at all.
Whoever runs the process, such as `durable-debug serve`, therefore lends it a file, and sends what stands in it once the
process is dead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from durable_execution.protocol import Wire

_descriptor: int | None = None


def keep_notes_in(descriptor: int) -> None:
    """Write notes to an open file from the next invocation on."""
    global _descriptor  # noqa: PLW0603  # lent to the whole process
    _descriptor = descriptor


def notes() -> Callable[[str, Wire], None] | None:
    """A function that notes the updates of one invocation, given the token to send them with; None where nobody wants it."""
    return _Notes(_descriptor).add if _descriptor is not None else None


def read_notes(text: str) -> tuple[str, list[Wire]] | None:
    """The token and the updates that were noted last; None when there are none.

    Args:
        text: What stands in the file. Its last line may be cut off.
    """
    last, updates = "", list[Wire]()
    for line in text.split("\n")[:-1]:
        token, update = json.loads(line)
        if token != last:
            last, updates = token, []
        updates.append(update)
    return (last, updates) if updates else None


class _Notes:
    """What one invocation has noted. Notes with an earlier token are of updates that have been sent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._token: str | None = None

    def add(self, token: str, update: Wire) -> None:
        if token != self._token:
            self._token = token
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, f"{json.dumps([token, update])}\n".encode())
