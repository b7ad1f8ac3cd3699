"""The SQLite store: one connection, one lock, one transaction per change.

The threads of an engine share the connection under a lock, which is faster and fairer than SQLite's busy handler. Several
processes can share the file: SQLite serializes their transactions.

The schema of the store, and the check that a file is a store before anything is written to it.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from durable_execution.errors import DurableError, EngineError
from durable_execution.local.store.rows import EventRow, ExecutionRow, ForkRow, OperationRow
from durable_execution.local.store.tables import Events, Executions, Forks, Operations, Outbox, Releases
from durable_execution.private_files import make_private_directory, open_private

MEMORY = ":memory:"
BUSY_SECONDS = 60.0
RETRY_SECONDS = 0.02
UNUSABLE = (sqlite3.Error, UnicodeDecodeError)
"""Errors of SQLite. It describes some damaged files in words that are not UTF-8."""

NONSENSE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, LookupError)
"""Errors of code that reads a value which was never written."""


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
        self._process = os.getpid()
        if self.path is not None:
            _prepare(self.path, create)
        self._lock = threading.RLock()
        self.connection = _connect(self.path)
        self.executions = Executions(self.connection)
        self.operations = Operations(self.connection)
        self.events = Events(self.connection)
        self.outbox = Outbox(self.connection)
        self.releases = Releases(self.connection)
        self.forks = Forks(self.connection)

    def begin(self) -> None:
        """Start a write transaction. `commit` or `roll_back` must follow."""
        self._require_own_process()
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
        except UNUSABLE as error:
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
    def intact(self) -> Iterator[None]:
        """Explain errors of reading a damaged store, inside the block, as an `EngineError`."""
        try:
            yield
        except DurableError:
            raise
        except NONSENSE as error:
            raise EngineError(
                f"{self.path or 'the store in memory'} is damaged: it contains a value that the engine does not write "
                f"({type(error).__name__}). Move the file away to start with an empty store, or restore it from a backup."
            ) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read a consistent state of the store inside the block."""
        self._require_own_process()
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
            except UNUSABLE as error:
                raise self._explained(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.connection.close()

    def _require_own_process(self) -> None:
        """Check that the process was not forked since the store was opened: a connection cannot be shared with a fork.

        Raises:
            EngineError: It was.
        """
        if os.getpid() != self._process:
            raise EngineError(
                f"this engine was created in process {self._process}, before the process was forked. A fork cannot use the "
                "engine of its parent, because both would write to the same database connection. Create an engine in the fork."
            )

    def _forget(self) -> None:
        if self.connection.in_transaction:  # SQLite ends a transaction itself on some errors
            self.connection.execute("ROLLBACK")

    def _explained(self, error: BaseException) -> BaseException:
        return explained(error, self.path)


def explained(error: BaseException, path: Path | None) -> BaseException:
    """An SQLite error as an `EngineError` that a user can act on. Other errors are returned unchanged."""
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return EngineError("the engine is closed: create a new engine to use the store again.")
    if not isinstance(error, (sqlite3.OperationalError, sqlite3.DatabaseError, UnicodeDecodeError, OverflowError)):
        return error
    place = path or "the store in memory"
    if _is_busy(error):
        return EngineError(
            f"another process has locked {place} for {BUSY_SECONDS:.0f} seconds ({error}). Find the process that holds "
            "the lock, such as an open sqlite3 shell in a transaction or a backup, or name a different file."
        )
    return damaged(place, error)


def damaged(place: object, error: BaseException) -> EngineError:
    """The error for a store that SQLite cannot read, or that contains values the engine never writes."""
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
            _initialize(connection, path)
        except BaseException:
            connection.close()
            raise
    except UNUSABLE as error:
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
        make_private_directory(path.parent)
        open_private(path, "ab").close()  # SQLite gives its other files the same permissions
    except OSError as error:
        raise EngineError(
            f"cannot create the directory {path.parent} for the store: {error.strerror}. Name a different file with "
            "LocalEngine(store=...), or use LocalEngine(store=None) to keep everything in memory."
        ) from error


def _initialize(connection: sqlite3.Connection, path: Path | None) -> None:
    """Create the tables of a new store, atomically, and set up the connection."""
    if (version := _version(connection)) > VERSION:  # the header of the file may be older than its write-ahead log
        raise _newer(path, version)
    if version < VERSION:
        connection.execute("BEGIN EXCLUSIVE")
        if (found := _version(connection)) < VERSION:  # another process may have created them in the meantime
            for statement in TABLES if found == 0 else SINCE[found - 1 :]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    if path is not None:
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
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
            pause.wait(RETRY_SECONDS)
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _is_busy(error: BaseException) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


APPLICATION_ID = 0x44555241
"""`DURA`, in the header of every store (SQLite's application_id)."""
VERSION = 3
"""Schema version of the store (SQLite's user_version)."""
SQLITE_MAGIC = b"SQLite format 3\0"


def _columns(row: type[ExecutionRow | OperationRow | EventRow | ForkRow], skip: tuple[str, ...] = ()) -> str:
    """Column definitions derived from a row's annotations."""
    whole = "INTEGER NOT NULL"
    kinds = {int: whole, bool: whole, str: "TEXT NOT NULL", int | None: "INTEGER", str | None: "TEXT"}
    return ", ".join(f"{name} {kinds[kind]}" for name, kind in row.__annotations__.items() if name not in skip)


FORKS = f"CREATE TABLE forks ({_columns(ForkRow, ('execution',))}, execution INTEGER PRIMARY KEY)"

SINCE = (FORKS, "ALTER TABLE executions ADD COLUMN is_asynchronous INTEGER NOT NULL DEFAULT 0")
"""What a store of version 1 lacks, then what one of version 2 lacks."""

TABLES = (
    f"CREATE TABLE executions (key INTEGER PRIMARY KEY, {_columns(ExecutionRow, ('key',))}, UNIQUE (arn))",
    "CREATE INDEX executions_by_wake ON executions (wake_ms, turn) WHERE wake_ms IS NOT NULL",
    "CREATE INDEX executions_by_name ON executions (function, name)",
    "CREATE INDEX executions_by_start ON executions (function, started_ms)",
    "CREATE INDEX executions_by_parent ON executions (parent_key) WHERE parent_key IS NOT NULL",
    "CREATE INDEX executions_by_expiry ON executions (expires_ms) WHERE expires_ms IS NOT NULL",
    f"CREATE TABLE operations ({_columns(OperationRow)}, PRIMARY KEY (execution, sequence)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX operations_by_id ON operations (execution, id)",
    "CREATE INDEX operations_by_due ON operations (execution, due_ms) WHERE due_ms IS NOT NULL",
    f"CREATE TABLE events ({_columns(EventRow)}, PRIMARY KEY (execution, id)) WITHOUT ROWID",
    # Operations changed from outside the handler whose change has not been delivered to a handler yet.
    """CREATE TABLE undelivered (execution INTEGER NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (execution, sequence)) WITHOUT ROWID""",
    # Answers to return again for a repeated request with the same ClientToken.
    """CREATE TABLE answers (execution INTEGER NOT NULL, client_token TEXT NOT NULL, request TEXT NOT NULL,
    answer TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (execution, client_token)) WITHOUT ROWID""",
    "CREATE INDEX answers_by_age ON answers (at_ms)",
    FORKS,
)


def require_store(path: Path) -> None:
    """Check the header of an existing file without opening it as a database.

    Raises:
        EngineError: The file is not a store, or its version is newer. The file does not change.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise EngineError(
            f"cannot read the store {path}: {error.strerror or error}. Check its permissions, or name a different file."
        ) from error
    if not header:
        return
    if not header.startswith(SQLITE_MAGIC) or len(header) < 100:
        raise EngineError(
            f"{path} is not a store of durable executions: it is not a SQLite database, or its header is damaged. "
            "Nothing was written to it. Name a different file, or move this one away to start with an empty store."
        )
    application = int.from_bytes(header[68:72], "big")
    if application != APPLICATION_ID:
        raise EngineError(
            f"{path} is a SQLite database of a different application (application id {application:#x}), not a store of "
            "durable executions. Nothing was written to it. Name a different file."
        )
    version = int.from_bytes(header[60:64], "big")
    if version > VERSION:
        raise _newer(path, version)


def _newer(path: Path | None, version: int) -> EngineError:
    return EngineError(
        f"{path} was written by a newer version of this SDK: it has store version {version}, and this version supports "
        f"up to {VERSION}. Nothing was written to it. Upgrade durable-execution-sdk, or name a different file."
    )
