"""Which engines are alive: each holds a lock on a file of its own, which the system releases when its process ends.

The store says which engine runs an execution; the lock says whether that engine still exists. So an execution never runs
twice, and one whose engine was killed is taken over at once, whatever its process id is used for now.
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
    """Tells other engines on the same store that this one is alive.

    Args:
        store: Path of the store; None for one in memory, which no other engine can see.
        owner: This engine's name.
    """

    def __init__(self, store: Path | None, owner: str) -> None:
        self._directory = None if store is None else store.with_name(store.name + "-engines")
        self._owner = owner
        self._file: IO[bytes] | None = None
        self._taking = threading.Lock()

    def hold(self) -> None:
        """Take the lock, unless it is held already."""
        if self._directory is None:
            return
        with self._taking:
            if self._file is None:
                self._directory.mkdir(exist_ok=True)
                self._file = self._path(self._owner).open("wb")
                _lock(self._file)

    def is_dead(self, owner: str | None) -> bool:
        """Whether the engine with a name is gone; what is left of it is removed."""
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
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._path(self._owner).unlink(missing_ok=True)
            self._file = None

    def _path(self, owner: str) -> Path:
        return (self._directory or Path()) / f"{owner}.lock"
