"""The command line: one file per verb. No verb loads the screen before it needs it."""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run `durable-debug`.

    Args:
        argv: Arguments without the program's name; None uses the process's own.

    Returns:
        The exit code.
    """
    try:
        from durable_debugger.cli import entry
    except KeyboardInterrupt:  # loading takes a part of a second, in which a Ctrl-C may come
        sys.stderr.write("interrupted\n")
        return 130
    return entry.main(argv)


__all__ = ["main"]
