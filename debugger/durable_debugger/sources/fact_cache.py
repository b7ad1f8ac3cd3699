"""Keeps the facts of a fleet between two looks, so that only what has changed is read again.

A history never changes once its execution has ended, and only grows before. What was read is kept with a stamp (the status and
the last event, or the size and time of a file); the same stamp means that nothing has changed.
"""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from durable_debugger.model.cost import Usage
from durable_debugger.model.fleet_facts import Facts
from durable_execution.private_files import make_private_directory, open_private

FORMAT = "2"
"""Increases when facts are read differently from the same events."""

FACTS = tuple(one.name for one in fields(Facts))
USAGE = tuple(one.name for one in fields(Usage))
MOMENTS = ("started_at", "ended_at")
MAX_KEPT = 200_000
COMMIT_EVERY = 500


def cache_path() -> Path:
    """Path of the file."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "durable-debug" / "fleet.db"


class Kept(NamedTuple):
    """Facts that were kept, and the stamp of what they were read from."""

    stamp: str
    facts: Facts


class FactCache:
    """Facts of executions by place, reference and stamp. Without a usable file, nothing is kept.

    Args:
        path: The file; None keeps nothing.
        redact: Hides secrets in a text, before it is kept.
    """

    def __init__(self, path: Path | None, redact: Callable[[str], str] = str) -> None:
        self._redact = redact
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._added = 0
        self._connection = _opened(path) if path is not None else None

    def get(self, place: str, reference: str) -> Kept | None:
        """The facts that were kept of an execution, with their stamp; None without any."""
        if self._connection is None:
            return None
        try:
            query = "SELECT stamp, facts FROM facts WHERE place = ? AND reference = ?"
            row = self._connection.execute(query, (place, reference)).fetchone()
            return None if row is None else Kept(row[0], self._read(json.loads(row[1])))
        except (sqlite3.Error, ValueError, TypeError, KeyError, AttributeError):  # a damaged file
            return None

    def _read(self, found: dict[str, Any]) -> Facts:
        shape = tuple(found["shape"])
        kind, call, message = found["failure"]
        members: dict[str, Any] = {
            **found,
            **{name: _moment(found[name]) for name in MOMENTS},
            "shape": self._shapes.setdefault(shape, shape),
            "failure": (kind, call, message),
            "usage": Usage(**found["usage"]),
        }
        return Facts(**members)

    def put(self, place: str, reference: str, stamp: str, facts: Facts) -> None:
        """Keep facts."""
        if self._connection is None:
            return
        kept = facts.without_secrets(self._redact)
        with suppress(sqlite3.Error):
            row = (place, reference, stamp, json.dumps(_written(kept), separators=(",", ":")))
            self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", row)
            self._added += 1
            if self._added % COMMIT_EVERY == 0:
                self._connection.commit()

    def close(self) -> None:
        """Store what was added, and forget the oldest if there are too many."""
        if self._connection is None:
            return
        with suppress(sqlite3.Error):
            if self._added:
                (last,) = self._connection.execute("SELECT max(rowid) FROM facts").fetchone()
                self._connection.execute("DELETE FROM facts WHERE rowid <= ?", ((last or 0) - MAX_KEPT,))
            self._connection.commit()
        self._connection.close()
        self._connection = None


def _opened(path: Path) -> sqlite3.Connection | None:
    try:
        make_private_directory(path.parent)
        open_private(path, "ab").close()
        connection = sqlite3.connect(path, timeout=1)
    except (OSError, sqlite3.Error):  # a read-only home, a full disk: read everything again
        return None
    try:
        wanted = f"{FORMAT}/{_installed()}"
        connection.execute("PRAGMA synchronous = OFF")  # what is lost is read again
        connection.execute("CREATE TABLE IF NOT EXISTS version (text TEXT)")
        if connection.execute("SELECT text FROM version").fetchone() != (wanted,):
            connection.executescript("DROP TABLE IF EXISTS facts; DELETE FROM version;")
            connection.execute("INSERT INTO version VALUES (?)", (wanted,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS facts (place TEXT, reference TEXT, stamp TEXT, facts TEXT, PRIMARY KEY (place, reference))"
        )
        connection.commit()
    except sqlite3.Error:  # a damaged file
        connection.close()
        return None
    return connection


def _installed() -> str:
    try:
        return version("durable-execution-sdk")
    except PackageNotFoundError:
        return "unknown"


def _written(facts: Facts) -> dict[str, Any]:
    found = {name: getattr(facts, name) for name in FACTS}
    for name in MOMENTS:
        found[name] = found[name].isoformat() if found[name] is not None else None
    return {**found, "usage": {name: getattr(facts.usage, name) for name in USAGE}}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
