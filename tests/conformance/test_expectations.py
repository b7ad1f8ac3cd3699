"""The project's own cases: the whole history and every log record, character by character."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.expectations import Expectation, expectations
from tests.conformance.in_process import InProcess
from tests.conformance.over_http import OverHttp, over_http
from tests.conformance.registry import cases
from tests.conformance.rendering import render

ALL = list(expectations())
EVERY_SUITE = [expected for expected in ALL if int(expected.id.partition("-")[2]) % 2 == 0]
"""Those with even numbers: enough of every suite."""

CRASHING = [expected for expected in ALL if expected.id in {"1-17", "1-18", "3-12"}]


@pytest.mark.parametrize("expected", ALL, ids=lambda expected: expected.id)
def test_in_process(expected: Expectation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_execution.retry.draw", lambda: 0.5)
    outcome = InProcess().run(cases()[expected.id], expected.requirement)
    assert render(outcome) == list(expected.lines)


@pytest.fixture(scope="module")
def server() -> Iterator[OverHttp]:
    with over_http() as server:
        yield server


@pytest.mark.parametrize("expected", EVERY_SUITE, ids=lambda expected: expected.id)
def test_over_http(expected: Expectation, server: OverHttp) -> None:
    outcome = server.run(cases()[expected.id], expected.requirement)
    assert render(outcome) == list(expected.lines)


@pytest.mark.parametrize("expected", CRASHING, ids=lambda expected: expected.id)
def test_a_process_that_dies(expected: Expectation, server: OverHttp, tmp_path: Path) -> None:
    outcome = server.run_in_processes(cases()[expected.id], expected.requirement, tmp_path)
    assert [line for line in map(_without_reason, render(outcome)) if not line.startswith("log ")] == [
        line for line in map(_without_reason, expected.lines) if not line.startswith("log ")
    ]


@pytest.mark.real_time
@pytest.mark.parametrize("expected", CRASHING, ids=lambda expected: expected.id)
def test_a_remote_process_that_dies(expected: Expectation, server: OverHttp, tmp_path: Path) -> None:
    """Only the process itself can record what it has started: it has a second for that."""
    with server.remote(tmp_path) as function:
        outcome = server.run_remotely(cases()[expected.id], expected.requirement, function)
    assert [line for line in map(_without_reason, render(outcome)) if not line.startswith("log ")] == [
        line for line in map(_without_reason, expected.lines) if not line.startswith("log ")
    ]


def _without_reason(line: str) -> str:
    """A line without how a process has died, which is another thing here."""
    head, found, _ = line.partition("! ExitError")
    return head + found


def test_every_handler_has_an_expectation() -> None:
    assert sorted(expected.id for expected in ALL) == sorted(cases())
