"""AWS's SDK on the local engine: every requirement whose file is here, and the same events as this SDK for every case."""

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest

from durable_execution.local import LocalEngine, SkippingClock
from durable_execution.local.http import JsonLog, ProcessHost
from durable_execution.local.http.server import worker_environment
from tests.conformance.crashing import CRASH_SECONDS, SCRATCH
from tests.conformance.expectations import Expectation, expectations
from tests.conformance.in_process import FUNCTION, play
from tests.conformance.log_capture import captured
from tests.conformance.matching import complaints
from tests.conformance.over_http import Undriven
from tests.conformance.registry import Case, cases
from tests.conformance.rendering import render
from tests.conformance.requirement import Requirement, read_requirement
from tests.conformance.running import Outcome, outcome_of
from tests.conformance.test_requirements import CRASHING, FILES
from tests.interop.on_aws_sdk import on_aws_sdk
from tests.interop.serving import served

pytestmark = pytest.mark.interop

ISOLATED = "5-8"
"""Calls a function for one tenant."""

NAMED_BY_AWS = "7-3"
"""A wait for a callback without a name: AWS's SDK names the operations in it."""


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """AWS's SDK logs every failure, also the intended ones."""
    caplog.set_level(logging.CRITICAL, logger="aws_durable_execution_sdk_python")


def run(case: Case, required: Requirement) -> Outcome:
    clock = SkippingClock()
    with captured() as records, LocalEngine(store=None, clock=clock, trace_sink=False) as engine:
        register(engine, case, engine.client)
        engine.register(FUNCTION, on_aws_sdk(case.handler, engine.client), durable=True)
        return outcome_of(engine.client, play(engine, clock, engine.client, required), records)


def register(engine: LocalEngine, case: Case, client: Any) -> None:
    for name, target in case.functions.items():
        engine.register(name, on_aws_sdk(target, client), durable=True, tenant_isolated=case.id == ISOLATED)


@pytest.mark.parametrize("path", [path for path in FILES if path.stem not in CRASHING], ids=lambda path: path.stem)
def test_a_requirement(path: Path) -> None:
    required = read_requirement(path)
    assert complaints(required, run(cases()[required.id], required)) == []


HOSTED = """
from tests.conformance.registry import cases
from tests.interop.on_aws_sdk import on_aws_sdk

handler = on_aws_sdk(cases()[{case!r}].handler)
"""


@pytest.mark.parametrize("path", [path for path in FILES if path.stem in CRASHING], ids=lambda path: path.stem)
def test_a_process_that_dies(path: Path, tmp_path: Path) -> None:
    required = read_requirement(path)
    hosted = tmp_path / "hosted.py"
    hosted.write_text(HOSTED.format(case=required.id))
    clock = SkippingClock()
    log = JsonLog(tmp_path / "log.jsonl")
    with Undriven(store=None, clock=clock, trace_sink=False) as engine, served(engine) as (url, client):
        environment = {
            **worker_environment(FUNCTION, f"{hosted}:handler", url, None),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH")))),
            SCRATCH: str(tmp_path),
            CRASH_SECONDS: "1",
        }
        host = ProcessHost(f"{hosted}:handler", log=log, environment=environment)
        engine.register(FUNCTION, host, durable=True)
        arn = play(engine, clock, client, required)
        host.close()
        log.close()
        records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        assert complaints(required, outcome_of(client, arn, records)) == []


@pytest.mark.parametrize(
    "expected",
    [expected for expected in expectations() if expected.id not in (*CRASHING, NAMED_BY_AWS)],
    ids=lambda expected: expected.id,
)
def test_both_sdks_leave_the_same_events(expected: Expectation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results and errors are each SDK's own; what happens, to which operation, and in which order, is the service's."""
    monkeypatch.setattr("durable_execution.retry.draw", lambda: 0.5)
    assert events(render(run(cases()[expected.id], expected.requirement))) == events(list(expected.lines))


def events(lines: list[str]) -> list[str]:
    """The lines of a rendered execution without logs, results and errors."""
    status, *others = (line for line in lines if not line.startswith("log "))
    return [status.split()[0], *(re.split(" [=!] ", line)[0] for line in others)]
