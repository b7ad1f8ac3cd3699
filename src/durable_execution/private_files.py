"""Files and directories that only their owner can read.

Stores, replay traces, spans, logs and exports hold what user code processed. On a computer with several users, or in a shared
directory, no one else has a reason to read them.
"""

import os
from pathlib import Path
from typing import Any

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
HOME = ".durable"
"""The default directory of recordings. It ignores itself in git."""


def make_private_directory(path: Path) -> None:
    """Create a directory that only its owner can enter, with its missing parents. An existing directory is left as it is.

    Raises:
        OSError: It cannot be created.
    """
    if not path.is_dir():
        make_private_directory(path.parent)
        path.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    if path.name == HOME and not (path / ".gitignore").exists():
        with open_private(path / ".gitignore", "w") as file:
            file.write("# Recordings of executions do not belong in a repository.\n*\n")


def open_private(path: str | Path, mode: str, **options: Any) -> Any:
    """Open a file as `open` does; a new file can be read and written by its owner only.

    Args:
        path: Path of the file.
        mode: Mode of `open`.
        options: Further options of `open`.

    Raises:
        OSError: It cannot be opened.
    """
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
        options.setdefault("errors", "backslashreplace")  # an unpaired surrogate, in JSON as its escape
    return open(path, mode, opener=_private, **options)  # the caller closes it


def open_private_descriptor(path: str | Path) -> int:
    """Open a file to read and to append; a new file can be read and written by its owner only. Returns its descriptor.

    Raises:
        OSError: It cannot be opened.
    """
    return _private(str(path), os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0))


def write_private(path: Path, text: str) -> None:
    """Write a text file that only its owner can read.

    Raises:
        OSError: It cannot be written.
    """
    with open_private(path, "w") as file:
        file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)
