"""The SQLite store: one connection, one lock, one transaction per change.

The threads of an engine share the connection under a lock, which is faster and fairer than SQLite's busy handler. Several
processes can share the file: SQLite serializes their transactions.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from durable_execution.errors import EngineError
from durable_execution.local.schema import APPLICATION_ID, TABLES, VERSION, require_store
from durable_execution.local.tables import Events, Executions, Operations, Outbox

MEMORY = ":memory:"
BUSY_SECONDS = 60.0
RETRY_SECONDS = 0.02


class Store:
    """Executions, operations and events, in a file or in memory.

    Args:
        location: Path of the file, or `:memory:`.
        create: Whether to create the file if it does not exist.

    Raises:
        EngineError: The file does not exist and `create` is False, or it is damaged, newer, or not a store.
    """

    def __init__(self, location: str | Path, *, create: bool = True) -> None:
        self.path = None if str(location) == MEMORY else Path(location)
        if self.path is not None:
            _prepare(self.path, create)
        self._lock = threading.RLock()
        self.connection = _connect(self.path)
        self.executions = Executions(self.connection)
        self.operations = Operations(self.connection)
        self.events = Events(self.connection)
        self.outbox = Outbox(self.connection)

    def begin(self) -> None:
        """Start a write transaction. `commit` or `roll_back` must follow."""
        self._lock.acquire()
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._lock.release()
            raise self._explained(error) from error

    def commit(self) -> None:
        """Commit everything done since `begin`."""
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._forget()
            raise self._explained(error) from error
        finally:
            self._lock.release()

    def roll_back(self, cause: BaseException) -> BaseException:
        """Undo everything done since `begin`.

        Returns:
            The error to raise: the cause, or an explanation of it as an `EngineError`.
        """
        try:
            self._forget()
        finally:
            self._lock.release()
        return self._explained(cause)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read a consistent state of the store inside the block."""
        with self._lock:
            try:
                if self.connection.in_transaction:
                    yield
                    return
                self.connection.execute("BEGIN")
                try:
                    yield
                finally:
                    self._forget()
            except sqlite3.Error as error:
                raise self._explained(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.connection.close()

    def _forget(self) -> None:
        if self.connection.in_transaction:  # SQLite ends a transaction itself on some errors
            self.connection.execute("ROLLBACK")

    def _explained(self, error: BaseException) -> BaseException:
        return explained(error, self.path)


def explained(error: BaseException, path: Path | None) -> BaseException:
    """An SQLite error as an `EngineError` that a user can act on. Other errors are returned unchanged."""
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return EngineError("the engine is closed: create a new engine to use the store again.")
    if not isinstance(error, (sqlite3.OperationalError, sqlite3.DatabaseError)):
        return error
    place = path or "the store in memory"
    if "locked" in str(error) or "busy" in str(error):
        return EngineError(
            f"another process has locked {place} for {BUSY_SECONDS:.0f} seconds ({error}). Find the process that holds "
            "the lock, such as an open sqlite3 shell in a transaction or a backup, or name a different file."
        )
    return EngineError(
        f"cannot use {place}: SQLite reports {str(error)!r}. If the disk is full or read-only, fix that first. If the file "
        "is damaged, move it away to start with an empty store, or try `sqlite3 FILE .recover` on a copy."
    )


def _connect(path: Path | None) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path or MEMORY, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS, cached_statements=256
        )
        try:
            _initialize(connection, is_file=path is not None)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise explained(error, path) from error
    return connection


def _prepare(path: Path, create: bool) -> None:
    if path.exists():
        require_store(path)
        return
    if not create:
        raise EngineError(
            f"there is no store at {path}. The local engine creates it when you run a workflow. If your store is "
            "elsewhere, name its file with --store or LocalEngine(store=...)."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(
            f"cannot create the directory {path.parent} for the store: {error.strerror}. Name a different file with "
            "LocalEngine(store=...), or use LocalEngine(store=None) to keep everything in memory."
        ) from error


def _initialize(connection: sqlite3.Connection, *, is_file: bool) -> None:
    """Create the tables of a new store, atomically, and set up the connection."""
    if _version(connection) < VERSION:
        connection.execute("BEGIN EXCLUSIVE")
        if _version(connection) < VERSION:  # another process may have created them in the meantime
            for statement in TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    if is_file:
        # Only after the header identifies the file: in WAL mode the header would stay in a second file for a while.
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode, with retries: SQLite does not wait for another process that is switching too."""
    pause = threading.Event()
    for _ in range(int(BUSY_SECONDS / RETRY_SECONDS)):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            pause.wait(RETRY_SECONDS)
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
