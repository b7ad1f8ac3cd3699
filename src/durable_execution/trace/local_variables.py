"""The local variables at a call, shortened and redacted."""

import reprlib
import sys
from types import FrameType
from typing import Any

from durable_execution.call_site import CallSite, caller
from durable_execution.redaction import HIDDEN, Redaction

MAX_VARIABLES = 32
"""Variables recorded of one call, in the order of their definition."""

MAX_FRAMES = 100
"""Frames searched for the function that made a call."""

MAX_VALUE = 120
"""Characters of a value, and twice as many with its punctuation."""


MAX_READ = 20_000
"""Characters of a text that are searched for secrets before it is shortened."""


class _Short(reprlib.Repr):
    """Shortens values. Secrets are hidden first: half of a name would not tell that a secret follows."""

    def __init__(self, redaction: Redaction | None = None) -> None:
        super().__init__()
        self._redaction = redaction
        self.maxstring = self.maxother = self.maxlong = MAX_VALUE
        self.maxlevel = 3

    def repr_str(self, x: str, level: int) -> str:
        """A text."""
        text = self._redaction.payload(x[:MAX_READ]) if self._redaction is not None else x
        return super().repr_str(text, level)

    def repr_instance(self, x: object, level: int) -> str:
        """A value of any other type. Its `__repr__` may fail; the values beside it are shown all the same."""
        try:
            text = repr(x)
        except Exception as error:  # noqa: BLE001  # a foreign __repr__ can raise anything
            return _unshown(x, error)
        if self._redaction is not None:
            text = self._redaction.text(text[:MAX_READ])
        half = MAX_VALUE // 2
        return text if len(text) <= MAX_VALUE else f"{text[:half]}...{text[-half:]}"


SHORT = _Short()


def locals_at(site: CallSite | None, redaction: Redaction) -> dict[str, str]:
    """Return the local variables of the function that made a call, if it is still on the stack."""
    frame = _frame_of(site)
    if frame is None:
        return {}
    found: dict[str, str] = {}
    variables = dict(frame.f_locals)
    hidden, shortened = redaction.hidden_members(variables), _Short(redaction)
    for name, value in list(variables.items())[:MAX_VARIABLES]:
        if not name.startswith("__"):
            is_hidden = name in hidden or redaction.hides(name)
            found[name] = HIDDEN if is_hidden else redaction.text(short(value, shortened))
    return found


def short(value: Any, shortened: reprlib.Repr = SHORT) -> str:
    """Render a value in a few hundred characters at most. Its `__repr__` may fail."""
    try:
        return shortened.repr(value)[: MAX_VALUE * 2]
    except Exception as error:  # noqa: BLE001  # a foreign __repr__ can raise anything
        return _unshown(value, error)


def _unshown(value: object, error: Exception) -> str:
    return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"


def _frame_of(site: CallSite | None) -> FrameType | None:
    if site is None:
        return None
    found = _search(sys._getframe(1), site)  # noqa: SLF001  # the only way to look at a caller
    waiting = caller.get()
    if found is None and waiting is not None:
        found = _search(sys._current_frames().get(waiting[2]), site)  # noqa: SLF001  # likewise, of a blocking handler
    return found


def _search(frame: FrameType | None, site: CallSite) -> FrameType | None:
    for _ in range(MAX_FRAMES):
        if frame is None:
            return None
        code = frame.f_code
        if code.co_filename == site.file and code.co_qualname == site.function:
            return frame
        frame = frame.f_back
    return None
