# ruff: noqa: S608  # statements are built from this package's column names, never from values
"""The SQL, with one class per table. Each call is one statement; the store manages transactions."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from durable_execution.errors import EngineError
from durable_execution.local.store.rows import (
    EventRow,
    ExecutionRow,
    ForkRow,
    OperationRow,
    Parameters,
    reader,
    whole,
)

EXECUTION_COLUMNS = ", ".join(ExecutionRow._fields)
OPERATION_COLUMNS = ", ".join(OperationRow._fields)
EVENT_COLUMNS = ", ".join(EventRow._fields)
FORK_COLUMNS = ", ".join(ForkRow._fields)
_execution_of = reader(ExecutionRow)
_operation_of = reader(OperationRow)
_event_of = reader(EventRow)
_fork_of = reader(ForkRow)
_FLAGS = tuple(name for name, kind in ExecutionRow.__annotations__.items() if kind is bool)
_PLACES = range(1, len(ExecutionRow._fields))


def _marks(count: int) -> str:
    return ", ".join("?" * count)


class Executions:
    """The table of executions and plain invocations."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._last_key = 0

    def by_arn(self, arn: str) -> ExecutionRow | None:
        """The execution with an ARN; None if it does not exist."""
        return self._one(f"SELECT {EXECUTION_COLUMNS} FROM executions WHERE arn = ?", (arn,))

    def by_key(self, key: int) -> ExecutionRow | None:
        """The execution with a key; None if it does not exist."""
        return self._one(f"SELECT {EXECUTION_COLUMNS} FROM executions WHERE key = ?", (key,))

    def by_name(self, function: str, name: str) -> ExecutionRow | None:
        """The durable execution of a function with a name; None if it does not exist."""
        return self._one(
            f"SELECT {EXECUTION_COLUMNS} FROM executions WHERE function = ? AND name = ? AND is_durable = 1",
            (function, name),
        )

    def children(self, key: int) -> list[ExecutionRow]:
        """The unfinished executions that an execution invoked."""
        return self._all(
            f"SELECT {EXECUTION_COLUMNS} FROM executions WHERE parent_key = ? AND ended_ms IS NULL ORDER BY key", (key,)
        )

    def unfinished(self) -> list[ExecutionRow]:
        """Every unfinished execution, oldest first."""
        return self._all(f"SELECT {EXECUTION_COLUMNS} FROM executions WHERE ended_ms IS NULL ORDER BY key", ())

    def awake(self, owner: str, now_ms: int, limit: int) -> list[ExecutionRow]:
        """An engine's executions that are due, in due order."""
        return self._all(
            f"SELECT {EXECUTION_COLUMNS} FROM executions WHERE wake_ms IS NOT NULL AND wake_ms <= ? AND owner = ? "
            "ORDER BY wake_ms, turn LIMIT ?",
            (now_ms, owner, limit),
        )

    def next_wake(self, owner: str) -> int | None:
        """When the first of an engine's executions is due; None if none is."""
        found: tuple[int] | None = self._execute(
            "SELECT wake_ms FROM executions WHERE wake_ms IS NOT NULL AND owner = ? ORDER BY wake_ms LIMIT 1", (owner,)
        ).fetchone()
        return whole("wake_ms", found[0]) if found else None

    def next_work(self, owner: str) -> int | None:
        """When the first of an engine's executions continues without an external event. Time-outs do not count."""
        found: int | None = self._execute(
            "SELECT MIN(due) FROM ("
            "SELECT MIN(invoke_ms) AS due FROM executions "
            "WHERE wake_ms IS NOT NULL AND owner = ? AND status = 'RUNNING' AND request_id IS NULL "
            "UNION ALL SELECT MIN(due_ms) FROM operations JOIN executions ON key = execution "
            "WHERE due_ms IS NOT NULL AND type IN ('WAIT', 'STEP') AND wake_ms IS NOT NULL AND owner = ?)",
            (owner, owner),
        ).fetchone()[0]
        return whole("due_ms", found)

    def last_turn(self) -> int:
        """The highest queue position in the store."""
        return whole("turn", self._execute("SELECT MAX(turn) FROM executions").fetchone()[0]) or 0

    def insert(self, row: ExecutionRow) -> int:
        """Add an execution, and return its new key."""
        key = self._last_key = self._new_key()
        self._execute(f"INSERT INTO executions ({EXECUTION_COLUMNS}) VALUES ({_marks(len(row))})", (key, *row[1:]))
        return key

    def _new_key(self) -> int:
        """A key that no execution has had, not even a deleted one, which callers that wait, and the ends of logs, still name."""
        highest: int | None = self._execute("SELECT max(key) FROM executions").fetchone()[0]
        return max(self._last_key, whole("key", highest) or 0) + 1

    def update(self, before: ExecutionRow, row: ExecutionRow) -> None:
        """Write the changed columns of an execution.

        Args:
            before: The row in the store.
            row: The new row.
        """
        changed = tuple(place for place in _PLACES if before[place] != row[place])
        if changed:
            self._execute(_update_statement(changed), (*[row[place] for place in changed], row.key))

    def expired(self, now_ms: int, limit: int) -> list[int]:
        """Keys of ended executions whose retention period has passed."""
        rows = self._execute(
            "SELECT key FROM executions WHERE expires_ms IS NOT NULL AND expires_ms <= ? LIMIT ?", (now_ms, limit)
        )
        return [key for (key,) in rows]

    def delete(self, key: int) -> None:
        """Remove an execution with its operations, events and answers."""
        for table in ("operations", "events", "undelivered", "answers", "forks"):
            self._execute(f"DELETE FROM {table} WHERE execution = ?", (key,))
        self._execute("DELETE FROM executions WHERE key = ?", (key,))

    def listed(
        self, conditions: Sequence[str], values: Parameters, *, newest_first: bool, limit: int
    ) -> list[ExecutionRow]:
        """Durable executions that meet the conditions, in start order."""
        order = "DESC" if newest_first else "ASC"
        where = " AND ".join(("is_durable = 1", *conditions))
        return self._all(
            f"SELECT {EXECUTION_COLUMNS} FROM executions WHERE {where} ORDER BY started_ms {order}, key {order} LIMIT ?",
            (*values, limit),
        )

    def _one(self, statement: str, values: Parameters) -> ExecutionRow | None:
        found = self._execute(statement, values).fetchone()
        return _execution(found) if found else None

    def _all(self, statement: str, values: Parameters) -> list[ExecutionRow]:
        return [_execution(row) for row in self._execute(statement, values)]


class Operations:
    """The table of operations."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def by_id(self, execution: int, operation_id: str) -> OperationRow | None:
        """The operation with an id; None if it does not exist."""
        found = self._execute(SELECT_OPERATION_BY_ID, (execution, operation_id)).fetchone()
        return _operation_of(found) if found else None

    def root(self, execution: int) -> OperationRow:
        """The EXECUTION operation, which every execution has.

        Raises:
            EngineError: The store is damaged.
        """
        found = self.at(execution, 0)
        if found is None:
            raise EngineError(
                f"execution {execution} in the store has no EXECUTION operation: the file is damaged, or another program "
                "changed it. Move the file away to start with an empty store."
            )
        return found

    def at(self, execution: int, sequence: int) -> OperationRow | None:
        """The operation with a sequence number; None if it does not exist."""
        found = self._execute(
            f"SELECT {OPERATION_COLUMNS} FROM operations WHERE execution = ? AND sequence = ?", (execution, sequence)
        ).fetchone()
        return _operation_of(found) if found else None

    def since(self, execution: int, sequence: int) -> Iterator[OperationRow]:
        """Operations from a sequence number on, in start order, read lazily."""
        return map(
            _operation_of,
            self._execute(
                f"SELECT {OPERATION_COLUMNS} FROM operations WHERE execution = ? AND sequence >= ? ORDER BY sequence",
                (execution, sequence),
            ),
        )

    def contexts_before(
        self, execution: int, sequence: int
    ) -> Iterator[tuple[str, str | None, int | None, int | None]]:
        """Id, parent, end and `replay_children` of the contexts before a sequence number."""
        return self._execute(
            "SELECT id, parent_id, ended_ms, replay_children FROM operations "
            "WHERE execution = ? AND sequence < ? AND type = 'CONTEXT' ORDER BY sequence",
            (execution, sequence),
        )

    def due(self, execution: int, now_ms: int) -> list[OperationRow]:
        """Operations whose timer is due, in due order."""
        return [
            _operation_of(row)
            for row in self._execute(
                f"SELECT {OPERATION_COLUMNS} FROM operations WHERE execution = ? AND due_ms IS NOT NULL AND due_ms <= ? "
                "ORDER BY due_ms, sequence",
                (execution, now_ms),
            )
        ]

    def next_due(self, execution: int) -> int | None:
        """When the next timer of an execution is due; None without timers."""
        found: tuple[int] | None = self._execute(
            "SELECT due_ms FROM operations WHERE execution = ? AND due_ms IS NOT NULL ORDER BY due_ms LIMIT 1",
            (execution,),
        ).fetchone()
        return whole("due_ms", found[0]) if found else None

    def open_callbacks(self, execution: int) -> list[OperationRow]:
        """Open callbacks, in start order."""
        return [
            _operation_of(row)
            for row in self._execute(
                f"SELECT {OPERATION_COLUMNS} FROM operations WHERE execution = ? AND type = 'CALLBACK' "
                "AND status = 'STARTED' ORDER BY sequence",
                (execution,),
            )
        ]

    def pending(self, execution: int) -> list[OperationRow]:
        """Operations that wait for something outside the handler, in start order."""
        return [
            _operation_of(row)
            for row in self._execute(
                f"SELECT {OPERATION_COLUMNS} FROM operations WHERE execution = ? AND ended_ms IS NULL "
                "AND type IN ('STEP', 'WAIT', 'CALLBACK', 'CHAINED_INVOKE') ORDER BY sequence",
                (execution,),
            )
        ]

    def add(self, row: OperationRow) -> None:
        """Add an operation."""
        self._execute(ADD_OPERATION, row)

    def replace(self, row: OperationRow) -> None:
        """Replace an operation."""
        self._execute(REPLACE_OPERATION, row)


class Events:
    """The table of events."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._execute_many = connection.executemany

    def append(self, rows: Sequence[EventRow]) -> None:
        """Add events."""
        self._execute_many(APPEND_EVENT, rows)

    def since(self, execution: int, event: int) -> Iterator[EventRow]:
        """Events with this id and higher, ascending, read lazily."""
        return map(
            _event_of,
            self._execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE execution = ? AND id >= ? ORDER BY id", (execution, event)
            ),
        )

    def until(self, execution: int, event: int) -> Iterator[EventRow]:
        """Events with this id and lower, descending, read lazily."""
        return map(
            _event_of,
            self._execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE execution = ? AND id <= ? ORDER BY id DESC",
                (execution, event),
            ),
        )


class Forks:
    """The table of forks."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def has(self, execution: int) -> bool:
        """Whether an execution is a fork."""
        return self._execute("SELECT 1 FROM forks WHERE execution = ?", (execution,)).fetchone() is not None

    def origin(self, execution: int) -> tuple[str | None, str] | None:
        """ARN of the origin and path of the call; None if the execution is not a fork."""
        found: tuple[str | None, str] | None = self._execute(
            "SELECT origin, call FROM forks WHERE execution = ?", (execution,)
        ).fetchone()
        return found

    def by_key(self, execution: int) -> ForkRow | None:
        """The fork with a key; None if the execution is not a fork."""
        found = self._execute(f"SELECT {FORK_COLUMNS} FROM forks WHERE execution = ?", (execution,)).fetchone()
        return _fork_of(found) if found else None

    def put(self, row: ForkRow) -> None:
        """Add or replace a fork."""
        self._execute(f"INSERT OR REPLACE INTO forks ({FORK_COLUMNS}) VALUES ({_marks(len(row))})", row)


class Outbox:
    """Changes not yet delivered to handlers, and answers to repeat for retried requests."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def add(self, execution: int, sequences: Iterable[int]) -> None:
        """Record operations that changed from outside the handler."""
        for sequence in sequences:
            self._execute(
                "INSERT OR IGNORE INTO undelivered (execution, sequence) VALUES (?, ?)", (execution, sequence)
            )

    def pending(self, execution: int) -> list[int]:
        """Sequence numbers of undelivered changes, ascending."""
        return [
            sequence
            for (sequence,) in self._execute(
                "SELECT sequence FROM undelivered WHERE execution = ? ORDER BY sequence", (execution,)
            )
        ]

    def clear(self, execution: int) -> None:
        """Remove the changes of an execution after their delivery."""
        self._execute("DELETE FROM undelivered WHERE execution = ?", (execution,))

    def answer(self, execution: int, client_token: str, request: str, since_ms: int) -> str | None:
        """The answer to an identical request made since a time; None if there is none."""
        found: tuple[str] | None = self._execute(
            "SELECT answer FROM answers WHERE execution = ? AND client_token = ? AND request = ? AND at_ms >= ?",
            (execution, client_token, request, since_ms),
        ).fetchone()
        return found[0] if found else None

    def keep_answer(
        self, execution: int, client_token: str, request: str, answer: str, now_ms: int, since_ms: int
    ) -> None:
        """Keep an answer, and remove answers that are too old."""
        self._execute("DELETE FROM answers WHERE at_ms < ?", (since_ms,))
        self._execute(
            "INSERT OR REPLACE INTO answers (execution, client_token, request, answer, at_ms) VALUES (?, ?, ?, ?, ?)",
            (execution, client_token, request, answer, now_ms),
        )


RELEASES = """CREATE TABLE IF NOT EXISTS releases (function TEXT NOT NULL, name TEXT NOT NULL, target TEXT NOT NULL,
description TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (function, name)) WITHOUT ROWID"""
"""Created with the first version or alias, so that reading a store never changes it."""


class Release(NamedTuple):
    """A published version of a function, or an alias.

    Attributes:
        function: Function name.
        name: Number of the version, or name of the alias.
        target: Fingerprint of the version's code, or the version that the alias points to.
        description: What the caller said about it.
        at_ms: When it was published or last changed, in Unix milliseconds.
    """

    function: str
    name: str
    target: str
    description: str
    at_ms: int


_release_of = reader(Release)


class Releases:
    """The table of published versions and aliases."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def of(self, function: str) -> list[Release]:
        """The versions and aliases of a function, versions in order first."""
        if self._execute("SELECT 1 FROM sqlite_master WHERE name = 'releases'").fetchone() is None:
            return []
        rows = self._execute("SELECT * FROM releases WHERE function = ?", (function,)).fetchall()
        found = [_release_of(row) for row in rows]
        return sorted(
            found, key=lambda one: (not one.name.isdigit(), len(one.name) if one.name.isdigit() else 0, one.name)
        )

    def put(self, release: Release) -> None:
        """Add a version or alias, or replace the one with the same name."""
        self._execute(RELEASES)
        self._execute("INSERT OR REPLACE INTO releases VALUES (?, ?, ?, ?, ?)", release)

    def remove(self, function: str, name: str) -> None:
        """Remove an alias."""
        self._execute("DELETE FROM releases WHERE function = ? AND name = ?", (function, name))


@cache
def _update_statement(places: tuple[int, ...]) -> str:
    columns = ", ".join(f"{ExecutionRow._fields[place]} = ?" for place in places)
    return f"UPDATE executions SET {columns} WHERE key = ?"


SELECT_OPERATION_BY_ID = f"SELECT {OPERATION_COLUMNS} FROM operations WHERE execution = ? AND id = ?"
ADD_OPERATION = f"INSERT INTO operations ({OPERATION_COLUMNS}) VALUES ({_marks(len(OperationRow._fields))})"
REPLACE_OPERATION = ADD_OPERATION.replace("INSERT", "INSERT OR REPLACE", 1)
APPEND_EVENT = f"INSERT INTO events ({EVENT_COLUMNS}) VALUES ({_marks(len(EventRow._fields))})"


def _execution(found: tuple[Any, ...]) -> ExecutionRow:
    """A row as SQLite returns it: booleans are stored as 0 and 1."""
    row = _execution_of(found)
    flags: dict[str, Any] = {name: bool(getattr(row, name)) for name in _FLAGS}
    return row._replace(**flags)
