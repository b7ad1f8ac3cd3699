"""Exit codes: an API for scripts and CI."""

from enum import IntEnum


class Exit(IntEnum):
    """What a process ends with."""

    OK = 0
    DIVERGED = 1
    USAGE = 2
    UNLOADABLE = 3
    HANDLER_FAILED = 4
    INTERRUPTED = 130


class CommandError(Exception):
    """A verb cannot go on.

    Attributes:
        exit: What the process ends with.
    """

    def __init__(self, message: str, exit: Exit = Exit.USAGE) -> None:  # noqa: A002  # the word for it
        super().__init__(message)
        self.exit = exit
