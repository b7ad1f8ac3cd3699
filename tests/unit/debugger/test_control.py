"""`durable-debug stop`, `pause`, `resume` and `delete` on a local store: what is listed, asked, done and reported."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import control, main
from durable_debugger.cli.output import Output
from durable_debugger.text.durations import moment_in
from durable_execution.local import LocalEngine
from durable_execution.local.lambda_client import LocalLambdaClient
from durable_execution.local.rules.api_errors import fault
from durable_execution.replay.gate import HELD_BY
from tests.unit.debugger.workflows import approve

STORE = ".durable/executions.db"


@pytest.fixture
def arns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four executions that wait for a callback."""
    monkeypatch.chdir(tmp_path)
    with LocalEngine(STORE, time="skip") as engine:
        engine.register("approve", approve)
        found = [engine.start("approve", {"n": number}, name=f"order-{number}") for number in range(4)]
        engine.run_until_idle(skips="nothing")
    return found


def statuses() -> dict[str, str]:
    with LocalEngine(STORE) as engine:
        page = engine.client.list_durable_executions_by_function()
        return {one["DurableExecutionName"]: one["Status"] for one in page["DurableExecutions"]}


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Terminal]:
    """Puts the command on a terminal where an answer is typed."""

    def type_in(answer: str) -> Terminal:
        stderr = Terminal()
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        monkeypatch.setattr(sys, "stderr", stderr)
        return stderr

    return type_in


@pytest.mark.parametrize("verb", ["pause", "resume", "delete"])
def test_without_yes_and_without_a_terminal_nothing_is_changed(
    arns: list[str], capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    before = statuses()
    assert main([verb, "--function", "approve"]) == 0
    assert main(["pause", "order-1", "--yes", "--dry-run"]) == 0
    assert statuses() == before
    assert "would be paused" in capsys.readouterr().out


def test_the_whole_life_of_an_execution(arns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pause", "order-1", arns[2], "--reason", "deploying 7", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"paused  {arns[1]}", f"paused  {arns[2]}"]
    assert statuses() == {"order-0": "RUNNING", "order-1": "PAUSED", "order-2": "PAUSED", "order-3": "RUNNING"}
    assert main(["resume", "--name", "order-", "--dry-run"]) == 0
    assert "(deploying 7)" in capsys.readouterr().out
    assert main(["resume", "--status", "paused", "--yes"]) == 0
    assert set(statuses().values()) == {"RUNNING"}
    assert main(["delete", "order-1", "--yes"]) == 1
    assert "only one that has ended can be deleted" in capsys.readouterr().err
    assert main(["stop", "order-1", "order-2"]) == 0
    assert main(["delete", "--function", "approve", "--yes"]) == 0
    assert sorted(statuses()) == ["order-0", "order-3"]
    capsys.readouterr()
    assert main(["delete", arns[1], "--yes", "--json"]) == 0
    assert document(capsys)["executions"][0]["outcome"] == "unchanged"


def test_what_is_done_already_is_left_alone(arns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["pause", "order-0", "--yes"]) == 0
    assert main(["pause", "order-0", "order-3", "--yes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert [one["outcome"] for one in found["executions"]] == ["unchanged", "done"]
    with LocalEngine(STORE) as engine:
        events = engine.client.get_durable_execution_history(DurableExecutionArn=arns[0])["Events"]
    assert [event["EventType"] for event in events].count("ExecutionPaused") == 1


def test_an_execution_that_has_ended_cannot_be_paused(arns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["stop", "order-0"])
    capsys.readouterr()
    assert main(["pause", "order-0", "order-1", "--yes", "--json"]) == 1
    found = document(capsys)
    assert found["exit_code"] == 1
    assert [(one["status"], one["outcome"]) for one in found["executions"]] == [
        ("STOPPED", "refused"),
        ("RUNNING", "done"),
    ]


def test_a_terminal_is_asked(arns: list[str], answering: Callable[[str], Terminal]) -> None:
    said = answering("n\n")
    assert main(["stop", "order-0"]) == 0
    assert (
        "stop 1 execution in local store .durable/executions.db? A stopped execution cannot be resumed"
        in said.getvalue()
    )
    assert statuses()["order-0"] == "RUNNING"
    answering("yes\n")
    assert main(["stop", "order-0"]) == 0
    assert statuses()["order-0"] == "STOPPED"


def test_a_question_names_the_first_of_many(
    arns: list[str], answering: Callable[[str], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MAX_ASKED", 3)
    said = answering("")
    assert main(["pause", "--function", "approve"]) == 0
    assert "and 1 more; --dry-run lists all" in said.getvalue()
    assert set(statuses().values()) == {"RUNNING"}


def test_nothing_is_acted_on_that_was_not_listed(
    arns: list[str], answering: Callable[[str], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An execution that starts between the question and the answer is left alone."""

    def start_one_more(_: Output, __: str) -> bool:
        with LocalEngine(STORE, time="skip") as engine:
            engine.register("approve", approve)
            engine.start("approve", {}, name="late")
            engine.run_until_idle(skips="nothing")
        return True

    answering("")
    monkeypatch.setattr(Output, "is_confirmed", start_one_more)
    assert main(["pause", "--function", "approve"]) == 0
    found = statuses()
    assert found.pop("late") == "RUNNING"
    assert set(found.values()) == {"PAUSED"}


def test_ctrl_c_leaves_partial_results(
    arns: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalLambdaClient.pause_durable_execution
    calls: list[Any] = []

    def pause(client: Any, **options: Any) -> Any:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(options)
        return real(client, **options)

    with monkeypatch.context() as patched:
        patched.setattr(LocalLambdaClient, "pause_durable_execution", pause)
        assert main(["pause", *arns, "--yes", "--json"]) == 130
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["interrupted"] is True
    assert [one["outcome"] for one in found["executions"]] == ["done", "done", "planned", "planned"]
    assert "2 of 4 executions are left; run the command again to continue" in err
    assert main(["pause", *arns, "--yes"]) == 0
    assert set(statuses().values()) == {"PAUSED"}


@pytest.mark.parametrize(("code", "outcome", "exit_code"), [
    ("ResourceConflictException", "unchanged", 0),
    ("ResourceNotFoundException", "refused", 1),
    ("TooManyRequestsException", "failed", 3),
])  # fmt: skip
def test_one_refusal_does_not_keep_the_others(
    arns: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    outcome: str,
    exit_code: int,
) -> None:
    real = LocalLambdaClient.pause_durable_execution

    def pause(client: Any, **options: Any) -> Any:
        if options["DurableExecutionArn"] == arns[0]:
            raise fault(code, "no")
        return real(client, **options)

    monkeypatch.setattr(LocalLambdaClient, "pause_durable_execution", pause)
    assert main(["pause", arns[0], arns[1], "--yes", "--json"]) == exit_code
    assert [one["outcome"] for one in document(capsys)["executions"]] == [outcome, "done"]


def test_a_filter_does_not_resume_what_the_gate_holds(arns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["pause", "order-0", "--reason", f"{HELD_BY}diverged against shop:orders", "--yes"])
    main(["pause", "order-1", "--yes"])
    assert main(["resume", "--function", "approve", "--yes"]) == 0
    assert statuses()["order-0"] == "PAUSED"
    assert statuses()["order-1"] == "RUNNING"
    assert "gate FUNCTION --release" in capsys.readouterr().err
    assert main(["resume", "order-0", "--yes"]) == 0
    assert statuses()["order-0"] == "RUNNING"


def test_executions_are_selected_by_time_and_status(arns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pause", "--since", "1h", "--dry-run"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["pause", "--before", "1h", "--dry-run"]) == 0
    assert "no execution in local store .durable/executions.db is selected" in capsys.readouterr().err


@pytest.mark.parametrize("words", [
    ["pause"],
    ["pause", "order-0", "--since", "1h"],
    ["pause", "--since", "yesterday"],
    ["pause", "--status", "BROKEN"],
    ["pause", "--qualifier", "1", "--since", "1h"],
    ["pause", "nothing-like-it"],
    ["pause", "order"],
    ["pause", "some.json"],
    ["pause", "order-0", "--region", "eu-west-1"],
    ["delete", "--since", "1h", "--region", "eu-west-1"],
])  # fmt: skip
def test_wrong_words_are_explained(arns: list[str], capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    assert "durable-debug: " in capsys.readouterr().err
    assert set(statuses().values()) == {"RUNNING"}


def test_the_help_names_the_permission(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, action in (("pause", "Pause"), ("resume", "Resume"), ("delete", "Delete"), ("stop", "Stop")):
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        assert f"lambda:{action}DurableExecution" in capsys.readouterr().out


def test_times_are_ages_or_dates() -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert moment_in("24h", now) == now - timedelta(days=1)
    assert moment_in("1.5h", now) == now - timedelta(minutes=90)
    assert moment_in("2W", now) == now - timedelta(weeks=2)
    assert moment_in("2026-11-28T09:00", now) == now - timedelta(hours=3)
    assert moment_in("2026-11-28T09:00+02:00", now) == now - timedelta(hours=5)
    assert moment_in("999999w", now) is None
    assert moment_in("soon", now) is None
