"""The store: what it refuses to open it leaves as it is, and other processes may read while one writes."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from durable_execution.errors import EngineError
from durable_execution.local import LocalEngine
from durable_execution.local.clocks import moment
from durable_execution.local.store.database import VERSION, Store
from durable_execution.local.store.rows import EventRow, ExecutionRow, ForkRow, OperationRow, reader
from durable_execution.protocol import Wire
from tests.unit.local.scripts import PENDING, Session, callback, done, history, register, step, wait


def contents(path: Path) -> dict[str, bytes]:
    return {found.name: found.read_bytes() for found in path.parent.iterdir() if found.is_file()}


def refuses(path: Path, reason: str) -> None:
    before = contents(path)
    with pytest.raises(EngineError, match=reason):
        LocalEngine(path)
    assert contents(path) == before


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 100)
    refuses(path, "is not a store of durable executions: it is not a SQLite database")


def test_a_database_of_another_application_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes (text TEXT)")
    other.close()
    refuses(path, "is a SQLite database of a different application")


def test_a_beheaded_store_is_left_alone(store_file: Path) -> None:
    LocalEngine(store_file).close()
    store_file.write_bytes(b"\0" * 50 + store_file.read_bytes()[50:])
    refuses(store_file, "its header is damaged")


def test_a_store_of_a_newer_version_is_left_alone(store_file: Path) -> None:
    LocalEngine(store_file).close()
    connection = sqlite3.connect(store_file)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    refuses(store_file, f"written by a newer version of this SDK: it has store version {VERSION + 1}")


def test_a_newer_version_that_is_only_in_the_log_is_seen(store_file: Path) -> None:
    """While another process writes, the header of the file is older than the store."""
    with LocalEngine(store_file, trace_sink=False):
        writer = sqlite3.connect(store_file)
        writer.execute(f"PRAGMA user_version = {VERSION + 1}")
        header = store_file.read_bytes()[60:64]
        assert int.from_bytes(header, "big") == VERSION
        with pytest.raises(EngineError, match=f"it has store version {VERSION + 1}"):
            LocalEngine(store_file, trace_sink=False)
        writer.execute(f"PRAGMA user_version = {VERSION}")
        writer.close()


def test_a_damaged_store_says_what_to_do(store_file: Path) -> None:
    with LocalEngine(store_file, time="skip") as engine:
        register(engine, lambda session: done('"' + "x" * 50_000 + '"'))
        arn = engine.run("flow").arn
    damaged = bytearray(store_file.read_bytes())
    damaged[4096:] = b"\xa5" * (len(damaged) - 4096)
    store_file.write_bytes(damaged)
    with pytest.raises(EngineError, match="SQLite reports"):
        LocalEngine(store_file).client.get_durable_execution(DurableExecutionArn=arn)


@pytest.mark.parametrize("row", [ExecutionRow, OperationRow, EventRow, ForkRow])
def test_a_value_of_a_type_that_is_never_written_is_refused(row: Any) -> None:
    """SQLite's columns take values of every type, so that a damaged file may hold any."""
    right = [7 if kind in (int, bool, int | None) else "a" for kind in row.__annotations__.values()]
    read = reader(row)
    assert read(tuple(right)) == row(*right)
    for place, name in enumerate(row._fields):
        for wrong in (b"a", 1.5, "a" if right[place] == 7 else 7):
            with pytest.raises(EngineError, match=f"the column {name} of the store contains"):
                read((*right[:place], wrong, *right[place + 1 :]))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("executions SET turn = 'x'", "the column turn of the store contains 'x'"),
        ("executions SET event_count = 'x'", "the column event_count of the store"),
        ("executions SET retention_days = 9223372036854775807", "too large to convert to SQLite INTEGER"),
        ("operations SET due_ms = 'x'", "the column due_ms of the store"),
    ],
)
def test_an_engine_does_not_go_on_with_values_that_are_never_written(store_file: Path, change: str, error: str) -> None:
    with LocalEngine(store_file, time="skip", trace_sink=False) as engine:
        register(engine, lambda session: PENDING)
        arn = engine.start("flow")
    with sqlite3.connect(store_file) as writer:
        writer.execute(f"UPDATE {change}")
    writer.close()
    with pytest.raises(EngineError, match=error), LocalEngine(store_file, time="skip", trace_sink=False) as engine:
        engine.client.stop_durable_execution(DurableExecutionArn=arn)


def test_a_moment_that_no_calendar_has_is_refused() -> None:
    with pytest.raises(EngineError, match="9223372036854775807 milliseconds, is out of range"):
        moment(2**63 - 1)


def test_a_directory_cannot_be_a_store(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot read the store"):
        LocalEngine(tmp_path)


def test_a_place_that_cannot_hold_a_directory_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="cannot create the directory"):
        LocalEngine(tmp_path / "file" / "below" / "executions.db")


def test_a_missing_store_is_created_unless_told_otherwise(store_file: Path) -> None:
    with pytest.raises(EngineError, match="there is no store at"):
        LocalEngine(store_file, create=False)
    assert not store_file.parent.exists()
    LocalEngine(store_file).close()
    assert store_file.exists()
    LocalEngine(store_file, create=False).close()


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with LocalEngine(path, time="skip") as engine:
        register(engine, lambda session: done())
        assert engine.run("flow").result == "done"


def test_two_engines_may_create_the_same_store_at_once(store_file: Path) -> None:
    problems: list[BaseException] = []
    barrier = threading.Barrier(6)

    def create() -> None:
        barrier.wait()
        try:
            LocalEngine(store_file).close()
        except BaseException as problem:  # noqa: BLE001  # reported below
            problems.append(problem)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_closed_engine_says_so(store_file: Path) -> None:
    engine = LocalEngine(store_file)
    register(engine, lambda session: done())
    engine.close()
    engine.close()
    for call in (
        lambda: engine.start("flow"),
        lambda: engine.client.list_durable_executions_by_function(FunctionName="flow"),
        engine.resume,
    ):
        with pytest.raises(EngineError, match="the engine is closed"):
            call()


def test_what_is_acknowledged_is_in_the_file_at_once(store_file: Path) -> None:
    def body(session: Session) -> Wire:
        session.send(step("a", "START"), step("a", "SUCCEED", Payload="1"))
        with LocalEngine(store_file, create=False) as reader:
            assert [event["EventType"] for event in history(reader, session.arn)] == [
                "ExecutionStarted",
                "StepStarted",
                "StepSucceeded",
            ]
        return done()

    with LocalEngine(store_file, time="skip") as engine:
        register(engine, body)
        assert engine.run("flow").status == "SUCCEEDED"


def test_another_engine_on_the_file_may_complete_a_callback(store_file: Path) -> None:
    def body(session: Session) -> Wire:
        if session.status("c") is None:
            session.send(callback("c"))
        return done() if session.status("c") == "SUCCEEDED" else PENDING

    with LocalEngine(store_file) as engine, LocalEngine(store_file, create=False) as outside:
        register(engine, body)
        arn = engine.start("flow")
        callback_id = engine.wait_for_callback_id(arn)
        outside.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"1")
        assert engine.wait(arn).result == "done"


def test_a_history_survives_its_engine(store_file: Path) -> None:
    with LocalEngine(store_file, time="skip") as engine:

        def body(session: Session) -> Wire:
            if session.status("w") is None:
                session.send(wait("w", 3600))
                return PENDING
            return done()

        register(engine, body)
        arn = engine.run("flow", {"a": "ü"}).arn
        events = history(engine, arn)
    with LocalEngine(store_file, create=False) as later:
        assert history(later, arn) == events
        result = later.result(arn)
    assert result is not None
    assert result.result == "done"


def test_a_store_that_cannot_switch_to_its_log_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a lock is worth waiting for."""
    waits: list[float] = []
    monkeypatch.setattr("threading.Event.wait", lambda self, timeout=None: waits.append(timeout or 0))

    class Damaged(sqlite3.Connection):
        def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            if sql.startswith("PRAGMA journal_mode"):
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *rest)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Damaged, **options))
    with pytest.raises(EngineError, match="disk I/O error"):
        Store(tmp_path / "executions.db")
    assert waits == []


def test_yes_and_no_are_read_as_such(store_file: Path) -> None:
    with LocalEngine(store_file, time="skip", trace_sink=False) as engine:
        register(engine, lambda session: done())
        arn = engine.run("flow").arn
    store = Store(store_file)
    row = store.executions.by_arn(arn)
    store.close()
    assert row is not None
    flags = {name for name, kind in row.__annotations__.items() if kind is bool}
    assert {"is_durable", "is_asynchronous", "pauses_timeout"} <= flags
    assert {name: type(getattr(row, name)) for name in flags} == dict.fromkeys(flags, bool)
