"""Leases: each engine holds a lock on its own file, and the operating system releases it when the process ends.

The store records which engine owns an execution; the lock shows whether that engine is alive. An execution therefore never
runs twice, and another engine can adopt it as soon as its owner is killed, even if the process id is reused.
"""

import sys
import threading
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lease:
    """Shows other engines on the same store that this engine is alive.

    Args:
        store: Path of the store; None for a store in memory, which no other engine can open.
        owner: This engine's id.
    """

    def __init__(self, store: Path | None, owner: str) -> None:
        self._directory = None if store is None else store.with_name(store.name + "-engines")
        self._owner = owner
        self._file: IO[bytes] | None = None
        self._taking = threading.Lock()

    def hold(self) -> None:
        """Acquire the lock, if this engine does not hold it yet."""
        if self._directory is None:
            return
        with self._taking:
            if self._file is None:
                self._directory.mkdir(exist_ok=True)
                self._file = self._path(self._owner).open("wb")
                _lock(self._file)

    def is_dead(self, owner: str | None) -> bool:
        """Whether the engine with an id is gone. If so, its lock file is removed."""
        if owner is None:
            return True
        if owner == self._owner:
            return False
        if self._directory is None:
            return True
        try:
            with self._path(owner).open("r+b") as file:
                _lock(file)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        self._path(owner).unlink(missing_ok=True)
        return True

    def release(self) -> None:
        """Release the lock and remove its file."""
        if self._file is not None:
            self._file.close()
            self._path(self._owner).unlink(missing_ok=True)
            self._file = None

    def _path(self, owner: str) -> Path:
        return (self._directory or Path()) / f"{owner}.lock"
