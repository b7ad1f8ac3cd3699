"""Exit codes, which scripts and CI rely on."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit code of the process."""

    OK = 0
    DIVERGED = 1
    USAGE = 2
    UNLOADABLE = 3
    HANDLER_FAILED = 4
    INTERRUPTED = 130


class CommandError(Exception):
    """A verb cannot continue.

    Attributes:
        exit: Exit code of the process.
    """

    def __init__(self, message: str, exit: Exit = Exit.USAGE) -> None:  # noqa: A002  # the field's own term
        super().__init__(message)
        self.exit = exit
