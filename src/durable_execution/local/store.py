"""The SQLite store: one connection, one lock, one transaction per change.

Several threads of an engine share the connection under a lock, which is quicker and fairer than letting SQLite's busy
handler sort them out. Several processes may share the file: SQLite serializes their transactions.
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
        create: Whether to create a file that does not exist.

    Raises:
        EngineError: The file is missing and may not be created, is not a store, is damaged, or is of a newer version.
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
        """Begin a transaction that writes. `commit` or `roll_back` must follow."""
        self._lock.acquire()
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._lock.release()
            raise self._explained(error) from error

    def commit(self) -> None:
        """Keep everything done since `begin`."""
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
            The error to raise: the cause, or what it means for the store.
        """
        try:
            self._forget()
        finally:
            self._lock.release()
        return self._explained(cause)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is as of one moment."""
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
        """Let go of the file."""
        with self._lock:
            self.connection.close()

    def _forget(self) -> None:
        if self.connection.in_transaction:  # SQLite ends a transaction itself on some errors
            self.connection.execute("ROLLBACK")

    def _explained(self, error: BaseException) -> BaseException:
        return explained(error, self.path)


def explained(error: BaseException, path: Path | None) -> BaseException:
    """What an error of SQLite means, as something a user can act on; any other error as it is."""
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return EngineError("the engine is closed: create a new one to work with the store again.")
    if not isinstance(error, (sqlite3.OperationalError, sqlite3.DatabaseError)):
        return error
    place = path or "the store in memory"
    if "locked" in str(error) or "busy" in str(error):
        return EngineError(
            f"{place} has been locked by another process for {BUSY_SECONDS:.0f} seconds ({error}). Find out what "
            "holds it (an open sqlite3 shell in a transaction, a backup), or name another file."
        )
    return EngineError(
        f"{place} cannot be used: SQLite says {str(error)!r}. If the disk is full or read-only, mend that; if the file is "
        "damaged, move it away to start with an empty store, or try `sqlite3 FILE .recover` on a copy."
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
            f"there is no store at {path}. Executions are recorded there once you run a workflow on the local engine; "
            "name the file with --store or LocalEngine(store=...) if yours is elsewhere."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(
            f"cannot create the directory {path.parent} for the store: {error.strerror}. Name another place with "
            "LocalEngine(store=...), or use LocalEngine(store=None) to keep everything in memory."
        ) from error


def _initialize(connection: sqlite3.Connection, *, is_file: bool) -> None:
    """Create the tables of a new store, atomically, and set up the connection."""
    if _version(connection) < VERSION:
        connection.execute("BEGIN EXCLUSIVE")
        if _version(connection) < VERSION:  # another process may have been quicker
            for statement in TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    if is_file:
        # Only after the header says what this file is: in WAL mode that would stay in a second file for a while.
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch the journal; SQLite does not wait for another process that is about to do the same."""
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
