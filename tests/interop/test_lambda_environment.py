"""Durable functions as they run on Lambda: under AWS's runtime interface client, frozen, throttled and timed out."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution.local import EngineLimits, LocalEngine
from durable_execution.local.hosts import Answer
from durable_execution.local.http import LocalServer
from durable_execution.local.results import ExecutionResult
from tests.interop.lambda_environment import ROOT, LambdaHost, environment
from tests.loopback_service import ENVIRONMENT, served
from tests.unit.fake_service import ARN, envelope

pytest.importorskip("awslambdaric", reason="AWS's runtime interface client is not installed")
pytestmark = [pytest.mark.interop, pytest.mark.real_time]

MODULE = "tests.interop.functions_on_lambda"
FUNCTION_ARN = ARN.split("/")[0]


class Cloud:
    """An engine behind a socket, and one function in Lambda environments."""

    def __init__(self, engine: LocalEngine, host: LambdaHost) -> None:
        self.engine, self.host = engine, host

    def run(self, payload: Any) -> ExecutionResult:
        return self.engine.run("function", payload, timeout=timedelta(seconds=100))


@contextmanager
def cloud(function: str, **options: Any) -> Iterator[Cloud]:
    variables = options.pop("variables", {})
    with (
        LocalEngine(None, limits=EngineLimits(retry_delay=timedelta(0))) as engine,
        LocalServer(engine, port=0) as server,
    ):
        host = LambdaHost(
            f"{MODULE}.{function}", {**ENVIRONMENT, "AWS_ENDPOINT_URL_LAMBDA": server.url, **variables}, **options
        )
        engine.register("function", host, durable=True)
        yield Cloud(engine, host)


def test_an_execution_runs_to_its_end_in_a_frozen_environment() -> None:
    with cloud("shop") as running:
        result = running.run({"order_id": "A-17", "amount": 9.5})
        (only,) = running.host.environments
        assert result.result == {"paid": "pay_A-17", "pid": only.process.pid}


def test_the_first_invocation_imports_nothing() -> None:
    with cloud("imports") as running:
        assert running.run(None).result == []


def test_a_connection_that_was_closed_while_the_environment_was_frozen_is_replaced() -> None:
    with served() as service:
        variables = {**ENVIRONMENT, "AWS_ENDPOINT_URL_LAMBDA": service.url}
        with environment(f"{MODULE}.imports", variables) as frozen:
            for number in range(3):
                outcome = frozen.invoke(envelope(), request_id=str(number), function_arn=FUNCTION_ARN)
                assert isinstance(outcome, Answer), outcome
                assert outcome.value["Status"] == "SUCCEEDED"
                service.hang_up()
        assert service.connections == 3


def test_a_time_out_ends_the_environment_and_the_next_one_goes_on(tmp_path: Path) -> None:
    variables = {"HANGS_UNLESS": str(tmp_path / "marker")}
    with cloud("slow", timeout_seconds=4, variables=variables) as running:
        assert running.run(None).result == "done"
        assert len(running.host.environments) == 2


def test_a_result_that_lambda_cannot_return_is_stored_and_never_breaks_the_response() -> None:
    with cloud("large") as running:
        result = running.run(1_000_000)
        assert result.error is None, result.error
        assert result.result == "é" * 1_000_000
        assert len(running.host.environments) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a clock for the processor time of other processes")
@pytest.mark.parametrize("memory_mb", [128, 256])
def test_a_small_function_ends_within_the_default_time_out(memory_mb: int) -> None:
    """At 7 and 14 % of a processor, within three seconds: what the first invocation needs was loaded in the init phase."""
    with cloud("shop", timeout_seconds=3, memory_mb=memory_mb) as running:
        result = running.run({"order_id": "A-17", "amount": 9.5})
        assert result.result["paid"] == "pay_A-17", result.error
        assert len(running.host.environments) == 1


READ_ONLY = """
import errno, os, sys
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}

def refuse(event, arguments):
    if event != "open" and event not in CHANGES or event == "open" and not (arguments[2] or 0) & WRITES:
        return
    path = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else ""
    if path and not path.startswith(("/tmp/", "/dev/null")):
        raise OSError(errno.EROFS, "Read-only file system", path)

sys.addaudithook(refuse)
"""


def test_nothing_is_written_outside_the_temporary_folder(tmp_path: Path) -> None:
    """Lambda's root is read-only: a write elsewhere fails, also while Python starts."""
    (tmp_path / "sitecustomize.py").write_text(READ_ONLY)
    variables = {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "HOME": "/nonexistent",
        "DURABLE_REPLAY_TRACE": "dir:/var/task/traces",
    }
    with cloud("shop", variables=variables) as running:
        result = running.run({"order_id": "A-17", "amount": 9.5})
        assert result.result["paid"] == "pay_A-17", result.error
        said = running.host.environments[0].said
        assert said.count("Read-only file system: '/var/task") == 2, said  # one line for each of the two invocations
    assert not Path("/var/task/traces").exists()


def test_missing_configuration_fails_the_execution_once() -> None:
    with cloud("shop", variables={"AWS_ACCESS_KEY_ID": "", "AWS_CONFIG_FILE": "/nonexistent"}) as running:
        result = running.run({"order_id": "A-17", "amount": 9.5})
        assert result.error is not None
        assert "NoCredentialsError" in str(result.error.message)
