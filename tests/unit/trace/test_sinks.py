"""Where traces go."""

import gc
from pathlib import Path
from typing import Any

import pytest

from durable_execution.errors import ConfigurationError
from durable_execution.trace import DirectorySink, MemorySink, S3Sink, recorder_from_environment
from durable_execution.trace.recorder import sink_for
from durable_execution.trace.sinks import trace_file_name

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders:$LATEST/durable-execution/order-7/e1"


def test_a_directory_has_one_file_per_execution(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path / "new" / "traces")
    for invocation in ("1", "2"):
        writer = sink.open(ARN, invocation)
        writer.append(f"{invocation}\n")
        writer.close()
    assert sink.path_of(ARN).name == "order-7-e1.trace.jsonl"
    assert sink.path_of(ARN).read_text(encoding="utf-8") == "1\n2\n"


def test_a_line_that_a_crash_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path)
    sink.path_of(ARN).write_text('{"record":"ca', encoding="utf-8")
    writer = sink.open(ARN, "2")
    writer.append("next\n")
    writer.close()
    assert sink.path_of(ARN).read_text(encoding="utf-8") == '{"record":"ca\nnext\n'


def test_what_was_appended_is_there_before_the_end(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path)
    writer = sink.open(ARN, "1")
    writer.append("line\n")
    assert sink.path_of(ARN).read_text(encoding="utf-8") == "line\n"
    writer.close()


def test_an_abandoned_invocation_leaves_no_file_open(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an invocation has is garbage in a cycle, and Python ends the objects of a cycle in no particular order."""
    told: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", told.append)
    writer = DirectorySink(tmp_path).open(ARN, "1")
    writer.append("line\n")
    cycle: list[Any] = [writer]
    cycle.append(cycle)
    del writer, cycle
    gc.collect()
    assert told == []
    assert [str(one.message) for one in recwarn] == []


@pytest.mark.parametrize("arn", ["../../etc/passwd", "x" * 5_000, "a/b\\c:d", "", "\udc80"])
def test_any_arn_becomes_a_safe_file_name(arn: str) -> None:
    name = trace_file_name(arn)
    assert "/" not in name
    assert "\\" not in name
    assert not name.startswith(".")
    assert len(name) < 250


def test_two_executions_at_once() -> None:
    sink = MemorySink()
    first, second = sink.open("a", "1"), sink.open("b", "1")
    first.append("1\n")
    second.append("2\n")
    first.append("3\n")
    assert sink.texts == {"a": "1\n3\n", "b": "2\n"}


class FakeS3:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, **arguments: Any) -> None:
        self.objects[f"{arguments['Bucket']}/{arguments['Key']}"] = arguments["Body"]


def test_s3_has_one_object_per_invocation() -> None:
    client = FakeS3()
    sink = S3Sink("bucket", "traces/prod/", client=client)
    for invocation in ("20260101-a", "20260102-b"):
        writer = sink.open(ARN, invocation)
        writer.append("1\n")
        writer.append("2\n")
        assert f"bucket/traces/prod/order-7-e1/{invocation}.trace.jsonl" not in client.objects
        writer.close()
    assert client.objects == {
        "bucket/traces/prod/order-7-e1/20260101-a.trace.jsonl": b"1\n2\n",
        "bucket/traces/prod/order-7-e1/20260102-b.trace.jsonl": b"1\n2\n",
    }


@pytest.mark.parametrize("setting", ["off", "", "none", "0", "OFF"])
def test_off(setting: str) -> None:
    assert recorder_from_environment({"DURABLE_REPLAY_TRACE": setting}, default=MemorySink()) is None


def test_the_environment_chooses() -> None:
    directory = recorder_from_environment({"DURABLE_REPLAY_TRACE": "dir:/some/where"})
    assert directory is not None
    assert isinstance(directory.sink, DirectorySink)
    assert directory.sink.directory == Path("/some/where")
    assert not directory.payloads
    bucket = sink_for("s3://bucket/a/prefix")
    assert isinstance(bucket, S3Sink)
    assert (bucket.bucket, bucket.prefix) == ("bucket", "a/prefix")
    more = {
        "DURABLE_REPLAY_TRACE": "dir:x",
        "DURABLE_REPLAY_TRACE_PAYLOADS": "1",
        "DURABLE_REPLAY_TRACE_LOCALS": "true",
    }
    recorder = recorder_from_environment(more)
    assert recorder is not None
    assert (recorder.payloads, recorder.locals) == (True, True)


def test_without_the_variable_the_default_counts() -> None:
    assert recorder_from_environment({}) is None
    sink = MemorySink()
    recorder = recorder_from_environment({}, default=sink)
    assert recorder is not None
    assert recorder.sink is sink


@pytest.mark.parametrize("setting", ["s3://", "dir:", "/plain/path", "ftp://x"])
def test_a_setting_that_names_no_place_is_refused(setting: str) -> None:
    with pytest.raises(ConfigurationError, match="dir:/some/directory"):
        sink_for(setting)
