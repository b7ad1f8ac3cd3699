"""Records the local variables at a call: names, and short, redacted values."""

import reprlib
import sys
from types import FrameType
from typing import Any

from durable_execution.observers import CallSite
from durable_execution.recording.redaction import Redaction
from durable_execution.replay.trace import HIDDEN

MAX_VARIABLES = 32
MAX_FRAMES = 100
MAX_VALUE = 120


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = MAX_VALUE
        self.maxlevel = 3


SHORT = _Short()


def locals_at(site: CallSite | None, redaction: Redaction) -> dict[str, str]:
    """Return the local variables of the function that made a call, if it is still on the stack."""
    frame = _frame_of(site)
    if frame is None:
        return {}
    found: dict[str, str] = {}
    for name, value in list(frame.f_locals.items())[:MAX_VARIABLES]:
        if not name.startswith("__"):
            found[name] = HIDDEN if redaction.hides(name) else redaction.text(short(value))
    return found


def short(value: Any) -> str:
    """Render a value in a few hundred characters at most. Its `__repr__` may fail."""
    try:
        return SHORT.repr(value)[: MAX_VALUE * 2]
    except Exception as error:  # noqa: BLE001  # a foreign __repr__ can raise anything
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"


def _frame_of(site: CallSite | None) -> FrameType | None:
    if site is None:
        return None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the only way to look at a caller
    for _ in range(MAX_FRAMES):
        if frame is None:
            return None
        code = frame.f_code
        if code.co_filename == site.file and code.co_qualname == site.function:
            return frame
        frame = frame.f_back
    return None
