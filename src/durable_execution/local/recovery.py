"""Recovery: adopting executions whose engine is gone.

Leases: each engine holds a lock on its own file, and the operating system releases it when the process ends.

The store records which engine owns an execution; the lock shows whether that engine is alive. An execution therefore never
runs twice, and another engine can adopt it as soon as its owner is killed, even if the process id is reused.
"""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from weakref import WeakSet

from durable_execution.local.clocks import RealClock, moment
from durable_execution.local.hosts import is_in_process
from durable_execution.local.invocations import Invocations
from durable_execution.local.store.rows import ExecutionRow
from durable_execution.local.transaction import Backend, Transaction
from durable_execution.private_files import make_private_directory, open_private

LAST = 2**62
"""An event id above all others."""


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
                make_private_directory(self._directory)
                self._file = self._locked(self._directory)
                _held.add(self)
                self._remove_dead(self._directory)

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
            self._path(self._owner).unlink(missing_ok=True)
            self.forget()

    def forget(self) -> None:
        """Close the lock file. In a fork, the parent keeps the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _locked(self, directory: Path) -> IO[bytes]:
        """A new lock file, which gets its name once it is locked: other engines remove files that they can lock."""
        unnamed = directory / f"{self._owner}.new"
        file: IO[bytes] = open_private(unnamed, "wb")
        _lock(file)
        unnamed.rename(self._path(self._owner))
        return file

    def _remove_dead(self, directory: Path) -> None:
        """Remove the lock files of engines that were killed."""
        for path in directory.glob("*.lock"):
            self.is_dead(path.stem)

    def _path(self, owner: str) -> Path:
        return (self._directory or Path()) / f"{owner}.lock"


class Recovery:
    """Makes this engine the owner of the executions of a dead engine."""

    def __init__(self, backend: Backend, invocations: Invocations, lease: Lease) -> None:
        self._backend = backend
        self._invocations = invocations
        self._lease = lease

    def hold_lease(self) -> None:
        """Acquire this engine's lease, before it owns any execution."""
        self._lease.hold()

    def adopt_all(self) -> list[str]:
        """Adopt every unfinished execution of a registered function whose engine is gone.

        Returns:
            ARNs of the adopted durable executions.
        """
        self._lease.hold()
        self._continue_clock()
        with self._backend.transaction() as transaction:
            orphans = [row for row in transaction.store.executions.unfinished() if self._is_orphan(row)]
            for row in orphans:
                self._adopt(transaction, row)
        return [row.arn for row in orphans if row.is_durable]

    def adopt(self, row: ExecutionRow) -> list[str]:
        """Adopt one execution and the executions it invoked, if their engine is gone.

        Returns:
            ARNs of the adopted durable executions.
        """
        self._lease.hold()
        self._continue_clock()
        with self._backend.transaction() as transaction:
            adopted = list(self._adopt_tree(transaction, row.key))
        return [row.arn for row in adopted if row.is_durable]

    def _continue_clock(self) -> None:
        """Let the clock go on from the last event of the unfinished executions, if it is behind."""
        clock, store = self._backend.clock, self._backend.store
        if not isinstance(clock, RealClock):
            return
        with store.snapshot():
            keys = [row.key for row in store.executions.unfinished()]
            last = [next(iter(store.events.until(key, LAST)), None) for key in keys]
        latest = max((event.at_ms for event in last if event is not None), default=None)
        if latest is not None:
            clock.continue_from(moment(latest))

    def _adopt_tree(self, transaction: Transaction, key: int) -> Iterator[ExecutionRow]:
        row = transaction.store.executions.by_key(key)
        if row is not None and row.ended_ms is None and self._is_orphan(row):
            self._adopt(transaction, row)
            yield row
        for child in transaction.store.executions.children(key):
            yield from self._adopt_tree(transaction, child.key)

    def _adopt(self, transaction: Transaction, row: ExecutionRow) -> None:
        journal = transaction.journal(row)
        journal.set(owner=self._backend.owner)
        if journal.row.is_running:
            self._invocations.recover(transaction, journal)

    def _is_orphan(self, row: ExecutionRow) -> bool:
        function = self._backend.functions.get(row.function)
        if function is None or (self._backend.store.forks.has(row.key) and not is_in_process(function.host)):
            return False  # only in this process can the engine keep the step bodies of a fork from running
        return self._lease.is_dead(row.owner)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_held: "WeakSet[Lease]" = WeakSet()


def _forget_in_fork() -> None:
    """Close the lock files that a fork has inherited. Otherwise the fork would keep its parent's lock after the parent's end."""
    for lease in list(_held):
        lease.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_fork)
