"""Where the user's code calls an operation. Notifications, traces, divergences and spans all carry it."""

from contextvars import ContextVar
from types import CodeType
from typing import NamedTuple


class CallSite(NamedTuple):
    """The place in the user's code that called an operation.

    Attributes:
        file: Path, as the interpreter knows it.
        line: Line number, from 1.
        function: Qualified name of the calling function.
    """

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


caller: ContextVar[tuple[CodeType, int, int] | None] = ContextVar("durable_execution_caller", default=None)
"""Code, line and thread of the blocking code that made the current call, which is not on the event loop's stack."""
