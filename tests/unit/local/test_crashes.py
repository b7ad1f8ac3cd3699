"""A process that is killed at any moment loses nothing that was acknowledged."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from durable_execution.local import LocalEngine
from durable_execution.protocol import Wire
from tests.unit.local.killed_program import STEPS, child, flow
from tests.unit.local.scripts import PENDING, Session, details, done, history, kinds, register, step

ROOT = Path(__file__).resolve().parents[3]


def start(store: Path, log: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.unit.local.killed_program", str(store), str(log)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.real_time
def test_a_killed_process_is_continued_without_loss_or_repetition(store_file: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for acknowledged in (3, 12, 25):  # before the first wait, between the waits, and after them
        process = start(store_file, log)
        while not log.exists() or log.read_text().count("acknowledged") < acknowledged:
            with suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"ended by itself, with {process.wait(0.01)}")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with start(store_file, log) as process:
        output, _ = process.communicate(timeout=40)

    assert output.splitlines()[-1] == "from the child"
    with LocalEngine(store_file, create=False) as engine:
        arns = engine.client.list_durable_executions_by_function(FunctionName="flow")["DurableExecutions"]
        assert len(arns) == 1
        events = history(engine, arns[0]["DurableExecutionArn"])
    ends = [event["Id"] for event in events if event["EventType"] in ("StepSucceeded", "StepFailed")]
    assert sorted(ends) == sorted(f"s{number}" for number in range(STEPS))
    lines = log.read_text().split("\n")
    assert {line.removeprefix("acknowledged ") for line in lines if line.startswith("acknowledged")} <= set(ends)
    bodies = [line for line in lines if line.startswith("body")]
    assert len(bodies) == len(set(bodies))
    crashes = [details(event) for event in events if event["EventType"] == "InvocationCompleted"]
    errors = [crash["Error"]["Payload"]["ErrorType"] for crash in crashes if "Error" in crash]
    assert 1 <= len(errors) <= 3  # a process may also die between two invocations
    assert set(errors) == {"Runtime.ExitError"}
    assert [event["EventId"] for event in events] == list(range(1, len(events) + 1))


def test_an_engine_takes_over_what_a_dead_one_was_running(store_file: Path) -> None:
    """The death of the first engine is its lease being gone while its invocation is still recorded as running."""
    dead = LocalEngine(store_file, time="skip")

    def dies(session: Session) -> Wire:
        session.send(step("a", "START"), step("a", "SUCCEED", Payload="1"))
        session.send(step("b", "START"))
        dead._lease.release()
        with LocalEngine(store_file, time="skip") as engine:
            register(engine, goes_on)
            assert engine.resume() == [session.arn]
            assert engine.wait(session.arn).result == "done"
            events.extend(kinds(engine, session.arn))
        return PENDING

    def goes_on(session: Session) -> Wire:
        assert session.status("a") == "SUCCEEDED"
        assert session.status("b") == "STARTED"
        session.send(step("b", "SUCCEED"))
        return done()

    events: list[str] = []
    register(dead, dies)
    with dead:
        assert dead.run("flow").status == "SUCCEEDED"
    assert events == [
        "ExecutionStarted",
        "StepStarted",
        "StepSucceeded",
        "StepStarted",
        "InvocationCompleted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


def test_a_living_engine_keeps_its_executions(store_file: Path) -> None:
    with LocalEngine(store_file, time="skip") as first, LocalEngine(store_file, time="skip") as second:
        register(first, lambda session: done())
        register(second, lambda session: done("2"))
        arn = first.start("flow")

        assert second.resume() == []
        assert first.wait(arn).result == "done"


def test_an_engine_leaves_alone_what_it_has_no_function_for(store_file: Path) -> None:
    with LocalEngine(store_file, time="skip") as first:
        register(first, lambda session: done())
        arn = first.start("flow")
    with LocalEngine(store_file, time="skip") as second:
        register(second, lambda session: done(), "other")
        assert second.resume() == []
    with LocalEngine(store_file, time="skip") as third:
        register(third, lambda session: done("3"))
        assert third.resume() == [arn]
        assert third.wait(arn).result == 3


def test_starting_again_by_name_continues_what_was_started(store_file: Path) -> None:
    with LocalEngine(store_file, time="skip") as first:
        register(first, lambda session: done())
        arn = first.start("flow", {"a": 1}, name="once")
    with LocalEngine(store_file, time="skip") as second:
        register(second, lambda session: done("2"))
        result = second.run("flow", {"a": 1}, name="once")

    assert (result.arn, result.result) == (arn, 2)


@pytest.mark.parametrize("when", ["before", "after"])
def test_children_are_taken_over_with_their_parent(store_file: Path, tmp_path: Path, when: str) -> None:
    """An engine that is closed between a parent's invocations is continued by the next one, children included."""
    with LocalEngine(store_file, time="skip") as first:
        register(first, flow(tmp_path / "log"))
        if when == "after":
            register(first, child, "child")
        arn = first.start("flow", name="once")
        if when == "after":
            first._scheduler.run_until(
                lambda: (
                    first.client.list_durable_executions_by_function(FunctionName="child")["DurableExecutions"] != []
                )
            )
    with LocalEngine(store_file, time="skip") as second:
        register(second, flow(tmp_path / "log"))
        register(second, child, "child")
        second.resume()
        assert second.wait(arn).result == "from the child"
