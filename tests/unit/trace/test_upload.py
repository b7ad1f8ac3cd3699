"""An invocation waits for its trace within a budget, and a broken destination costs one line of the log."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.trace import S3Sink, TraceRecorder, environment_recorder
from durable_execution.trace import sinks as upload_module
from durable_execution.trace.sinks import TraceDelayedError, Uploader
from tests.unit.fake_service import FakeService, envelope, invoke


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@durable_execution
async def shop(_: Any, ctx: DurableContext) -> str:
    return await ctx.step(lambda step: "charged", "charge")


def run(sink: S3Sink) -> None:
    answer = shop.invoke(envelope(), None, client=FakeService(), observers=(TraceRecorder(sink),))
    assert answer["Status"] == "SUCCEEDED"


class Bucket:
    """A client whose `put_object` does what a test says."""

    def __init__(self, put: Callable[[], None]) -> None:
        self.keys: list[str] = []
        self._put = put

    def put_object(self, **options: Any) -> None:
        self._put()
        self.keys.append(options["Key"])


def wait_for(gate: threading.Event) -> None:
    gate.wait()


def test_an_upload_that_fails_raises_in_the_invocation() -> None:
    def fail() -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        Uploader().run(fail)


def test_an_upload_that_hangs_is_not_waited_for(gate: threading.Event) -> None:
    uploader = Uploader(0)
    with pytest.raises(TraceDelayedError, match="was not stored in time"):
        uploader.run(gate.wait)
    with pytest.raises(TraceDelayedError, match="earlier trace is still being stored"):
        uploader.run(gate.wait)
    gate.set()
    assert uploader._pending is not None
    uploader._pending.join()
    Uploader(60).run(gate.wait)


def test_patience_shrinks_with_each_delay_and_comes_back(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    real_join = threading.Thread.join

    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name == "durable-trace" and timeout is not None and not gate.is_set():
            waited.append(timeout)
            return
        real_join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", join)
    monkeypatch.setattr(upload_module, "monotonic", lambda: 100.0)
    uploader = Uploader(8)
    for _ in range(3):
        with pytest.raises(TraceDelayedError):
            uploader.run(gate.wait)
    assert waited == [8.0, 4.0, 2.0]
    gate.set()
    uploader.run(gate.wait)
    assert uploader._patience == 1


def test_a_bucket_that_hangs_or_refuses_is_one_line_of_the_log(
    gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise PermissionError("AccessDenied:\n/bucket")

    with caplog.at_level(logging.WARNING, "durable_execution"):
        run(S3Sink("bucket", client=Bucket(refuse)))
        run(S3Sink("bucket", client=Bucket(lambda: wait_for(gate)), budget_seconds=0))
    lines = [record.getMessage() for record in caplog.records if "replay trace" in record.getMessage()]
    assert len(lines) == 2
    assert "PermissionError: AccessDenied: /bucket" in lines[0]
    assert "was not stored in time" in lines[1]
    assert not any("\n" in line for line in lines)
    assert all(record.exc_info is None for record in caplog.records)


def test_one_recorder_serves_all_invocations(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("DURABLE_REPLAY_TRACE", f"dir:{tmp_path}")
    first = environment_recorder()
    assert first is not None
    assert environment_recorder() is first
    assert invoke(shop, FakeService())["Status"] == "SUCCEEDED"
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setenv("DURABLE_REPLAY_TRACE", "off")
    assert environment_recorder() is None


def test_a_wrong_value_of_the_variable_is_one_line_and_turns_traces_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DURABLE_REPLAY_TRACE", "s3:/bucket/typo")
    with caplog.at_level(logging.ERROR, "durable_execution"):
        for _ in range(3):
            assert invoke(shop, FakeService())["Status"] == "SUCCEEDED"
    (record,) = caplog.records
    assert "replay traces are off: DURABLE_REPLAY_TRACE='s3:/bucket/typo' is not a valid place" in record.getMessage()
    assert record.exc_info is None
