"""The schema of the store, and the check that a file is a store before anything is written to it."""

from pathlib import Path

from durable_execution.errors import EngineError
from durable_execution.local.rows import EventRow, ExecutionRow, OperationRow

APPLICATION_ID = 0x44555241
"""`DURA`, in the header of every store (SQLite's application_id)."""

VERSION = 1
"""Schema version of the store (SQLite's user_version)."""

SQLITE_MAGIC = b"SQLite format 3\0"


def _columns(row: type[ExecutionRow] | type[OperationRow] | type[EventRow], skip: tuple[str, ...] = ()) -> str:
    """Column definitions derived from a row's annotations."""
    kinds = {int: "INTEGER NOT NULL", str: "TEXT NOT NULL", int | None: "INTEGER", str | None: "TEXT"}
    return ", ".join(f"{name} {kinds[kind]}" for name, kind in row.__annotations__.items() if name not in skip)


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
        raise EngineError(
            f"{path} was written by a newer version of this SDK: it has store version {version}, and this version supports "
            f"up to {VERSION}. Nothing was written to it. Upgrade durable-execution-sdk, or name a different file."
        )
