"""A handler that fails after a refused side effect: because of the refusal, or for a reason of its own."""

import contextlib
import json
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli.entry import main
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import Replayer, Verdict
from tests.replay import workflows
from tests.replay.recording import history_of


@pytest.fixture(scope="module")
def recording() -> RecordedExecution:
    events, arn = history_of(workflows.plain)
    return read_history(events, arn=arn)


def request() -> None:
    urllib.request.urlopen("http://127.0.0.1:9/")


def write() -> Any:
    return Path("ledger.txt").open("w", encoding="utf-8")


def wrapped() -> None:
    try:
        request()
    except OSError as error:
        raise ValueError("offline") from error


def wrapped_without_a_cause() -> None:
    try:
        request()
    except OSError:
        raise ValueError("offline") from None


def in_a_group() -> None:
    try:
        request()
    except OSError as error:
        raise ExceptionGroup("checks", [LookupError("no answer"), error]) from None


def process_wrapped() -> None:
    try:
        subprocess.run(["true"], check=True)
    except OSError as error:
        raise RuntimeError("cannot start") from error


def base_exception() -> None:
    try:
        tempfile.mkstemp()
    except BaseException as error:
        raise KeyError("name") from error


def without_its_file() -> None:
    file: Any = None
    with contextlib.suppress(OSError):
        file = write()
    file.write("x")


def without_its_thread() -> None:
    files: list[Any] = []
    thread = threading.Thread(target=lambda: files.append(write()))
    thread.start()
    thread.join()
    files.pop().close()


def swallowed_before_a_wrapped_one() -> None:
    with contextlib.suppress(OSError):
        write().close()
    wrapped()


def of_its_own() -> None:
    with contextlib.suppress(OSError):
        write().close()
    raise ValueError("unrelated")


def in_a_clean_up() -> None:
    try:
        write().close()
    finally:
        raise ValueError("unrelated")


FAILING: dict[Callable[[], None], Verdict] = {
    request: Verdict.EFFECTS,
    wrapped: Verdict.EFFECTS,
    wrapped_without_a_cause: Verdict.EFFECTS,
    in_a_group: Verdict.EFFECTS,
    process_wrapped: Verdict.EFFECTS,
    base_exception: Verdict.EFFECTS,
    without_its_file: Verdict.EFFECTS,
    without_its_thread: Verdict.EFFECTS,
    swallowed_before_a_wrapped_one: Verdict.EFFECTS,
    of_its_own: Verdict.FAILED,
    in_a_clean_up: Verdict.FAILED,
}


@pytest.mark.parametrize("act", FAILING, ids=lambda act: act.__name__)
def test_the_reason_of_a_failure_decides(
    recording: RecordedExecution, act: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = Replayer(workflows.acting(act), cause=False).replay(recording)
    assert report.verdict is FAILING[act]
    assert report.effects
    assert report.error
    assert not any(tmp_path.iterdir())


DATABASE = """\
import sqlite3
from durable_execution import durable_execution


@durable_execution
async def flow(event, ctx):
    await ctx.step(lambda _: 1, name="a")
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute({statement!r})
    except sqlite3.DatabaseError as error:
        raise RuntimeError("cannot open the ledger") from {cause}
"""


@pytest.mark.parametrize("cause", ["error", "None"])
@pytest.mark.parametrize("statement", ["ATTACH 'ledger.db' AS ledger", "VACUUM INTO 'copy.db'"])
def test_a_database_that_cannot_be_attached_is_a_refused_effect(
    tmp_path: Path, statement: str, cause: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    events, arn = history_of(workflows.plain)
    document = json.dumps({"DurableExecutionArn": arn, "Events": events}, default=str)
    Path("order.json").write_text(document, encoding="utf-8")
    Path("ledger_flow.py").write_text(DATABASE.format(statement=statement, cause=cause), encoding="utf-8")
    assert main(["check", "order.json", "ledger_flow.py:flow", "--json"]) == 1
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert report["verdict"] == "effects"
    assert report["effects"][0]["what"].startswith("attaching ")
    assert report["error"] == "RuntimeError: cannot open the ledger"
    assert not list(tmp_path.glob("*.db"))
