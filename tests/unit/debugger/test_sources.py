"""Finding executions: files, references, places, clients."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError

from durable_debugger.sources import aws
from durable_debugger.sources.api import ExecutionReader, list_from
from durable_debugger.sources.files import is_file_reference, load_file, read_execution
from durable_debugger.sources.found import (
    AmbiguousError,
    Listed,
    LookedIn,
    NotFoundError,
    UnreachableError,
    UnreadableError,
    arn_in,
    matching,
    nearest,
)
from durable_debugger.sources.places import Library, find
from durable_execution.history.documents import bundle_of
from durable_execution.trace import write_traces
from tests.tui.recordings import ARN, START, order_execution, order_recording, order_traces

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def listed(name: str, execution_id: str) -> Listed:
    return Listed(f"arn:{execution_id}", name, execution_id, "orders", "SUCCEEDED", START, START, "somewhere")


KNOWN = [listed("order-7f3a9c", "aaaa-1111"), listed("order-7f3a90", "aaaa-2222"), listed("invoice", "bbbb-3333")]


@pytest.mark.parametrize(
    ("reference", "ids"),
    [
        ("aaaa-1111", ["aaaa-1111"]), ("aaaa", ["aaaa-1111", "aaaa-2222"]), ("b", ["bbbb-3333"]), ("invoice", ["bbbb-3333"]),
        ("order-7f3a9", ["aaaa-1111", "aaaa-2222"]), ("order-7f3a9c", ["aaaa-1111"]), ("arn:bbbb-3333", ["bbbb-3333"]), ("x", []),
    ],
)  # fmt: skip
def test_a_reference_is_an_id_a_name_or_the_beginning_of_one(reference: str, ids: list[str]) -> None:
    assert [each.id for each in matching(reference, KNOWN)] == ids


def test_what_is_close_comes_first() -> None:
    assert [each.name for each in nearest("order-7f3a9d", KNOWN)] == ["order-7f3a9c", "order-7f3a90"]
    assert nearest("zzzz", KNOWN) == []


def test_arns_are_found_in_console_urls() -> None:
    url = "https://eu-west-1.console.aws.amazon.com/lambda/home#/durable/" + ARN.replace("/", "%2F").replace(":", "%3A")
    assert arn_in(ARN) == ARN
    assert arn_in(url) == ARN
    assert arn_in(url + "?tab=history") == ARN
    assert arn_in("order-7f3a9c") is None


class Place:
    """Keeps executions in a list."""

    def __init__(
        self, words: Any = "a place", finding: Any = "none match", executions: Any = (), error: Any = None
    ) -> None:
        self.words, self._finding, self._executions, self._error = words, finding, executions, error

    def find(self, reference: str, arn: str | None) -> LookedIn:
        if self._error:
            raise self._error
        return LookedIn(self.words, self._finding)

    def executions(self) -> Iterator[Listed]:
        if self._error:
            raise self._error
        yield from self._executions


def test_nothing_found_says_where_it_looked_and_what_is_close() -> None:
    with pytest.raises(NotFoundError) as raised:
        find(
            "order-7f3a9d",
            [Place("here", "12 executions, none match", KNOWN), Place("there", error=UnreachableError("down"))],
        )
    assert raised.value.looked_in == (
        LookedIn("files", "no file order-7f3a9d"),
        LookedIn("here", "12 executions, none match"),
        LookedIn("there", "down"),
    )
    assert [each.name for each in raised.value.nearest] == ["order-7f3a9c", "order-7f3a90"]


def test_an_arn_that_only_an_unreachable_place_could_have_is_unreachable() -> None:
    with pytest.raises(UnreachableError, match="no permission"):
        find(ARN, [Place("here"), Place("AWS", error=UnreachableError("no permission"))])


def test_a_library_lists_the_latest_first_and_leaves_out_what_it_cannot_list() -> None:
    library = Library([Place(executions=KNOWN), Place(error=UnreachableError("down"))])
    assert len(library.executions()) == 3


def test_histories_in_every_form_are_read(tmp_path: Path) -> None:
    events = order_recording().events
    forms = {
        "list.json": events,
        "cli.json": {"Events": events},
        "pages.json": [{"Events": events[:9]}, {"Events": events[9:]}],
    }
    for name, value in forms.items():
        (tmp_path / name).write_text(json.dumps(value))
        loaded = load_file(str(tmp_path / name))
        assert len(loaded.execution.operations) == 212
        assert loaded.title == name.removesuffix(".json")
        assert loaded.as_of == START.replace(second=41, microsecond=200_000)
        assert loaded.reload is None


def test_a_trace_beside_a_history_is_read_with_it(tmp_path: Path) -> None:
    recording = order_recording()
    (tmp_path / "order.history.json").write_text(json.dumps(recording.events))
    (tmp_path / "order.trace.jsonl").write_text("".join(write_traces(order_traces(recording))))
    loaded = load_file(str(tmp_path / "order.history.json"))
    site = loaded.execution.operations[0].call_site
    assert site is not None
    assert site.line == 37
    other = tmp_path / "elsewhere.jsonl"
    (tmp_path / "order.trace.jsonl").rename(other)
    assert load_file(str(tmp_path / "order.history.json")).execution.traces == ()
    assert load_file(str(tmp_path / "order.history.json"), trace=str(other)).execution.traces


def test_a_trace_alone_tells_what_was_called() -> None:
    text = "".join(write_traces(order_traces(order_recording())))
    execution = read_execution(text)
    assert [operation.name for operation in execution.operations][:2] == ["reserve_stock", "charge_card"]
    site = execution.operations[0].call_site
    assert site is not None
    assert site.line == 37
    assert len(execution.invocations) == 2
    half = "\n".join(text.splitlines()[:3])
    assert read_execution(half).operations


def test_a_bundle_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "order.bundle"
    path.write_text(json.dumps(bundle_of(order_execution()), default=str))
    again = load_file(str(path)).execution
    assert again == order_execution()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"), ("{", "not JSON"), ("{}", "not a history"), ("[1]", "not an event"), ('"x"', "not a history"),
        ("[" * 100_000, "too deeply"), ('{"record": "x"}', "not a history"),
    ],
)  # fmt: skip
def test_files_that_hold_no_execution_say_so(tmp_path: Path, content: str, words: Any) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(UnreadableError, match=words) as raised:
        load_file(str(path))
    assert str(path) in str(raised.value)


def test_files_that_are_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no file"):
        load_file(str(tmp_path / "missing.json"))
    with pytest.raises(UnreadableError, match="is a directory"):
        load_file(str(tmp_path))
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableError, match="cannot read"):
        load_file(str(tmp_path / "binary.json"))
    assert is_file_reference("-")
    assert is_file_reference("x.history.json")
    assert not is_file_reference("order-7f3a9c")
    assert not is_file_reference("\0")


class Client:
    """Answers as a Lambda client would."""

    def __init__(self, events: Any, status: Any = "RUNNING", page: Any = 7) -> None:
        self.events, self.status, self.page = events, status, page
        self.reads = 0

    def get_durable_execution(self, **arguments: Any) -> Any:
        assert arguments == {"DurableExecutionArn": ARN}
        return {"DurableExecutionArn": ARN, "Status": self.status, "StartTimestamp": START}

    def get_durable_execution_history(self, **arguments: Any) -> Any:
        self.reads += 1
        events = self.events[::-1] if arguments.get("ReverseOrder") else self.events
        start, size = int(arguments.get("Marker", "0")), min(self.page, arguments.get("MaxItems", 100))
        more = {"NextMarker": str(start + size)} if start + size < len(events) else {}
        return {"Events": events[start : start + size], **more}

    def list_durable_executions_by_function(self, *, FunctionName: Any = None, **arguments: Any) -> Any:  # noqa: N803
        return {"DurableExecutions": [{"DurableExecutionArn": ARN, "Status": "RUNNING", "StartTimestamp": START}]}


def test_a_whole_history_is_read_page_by_page_and_then_only_what_is_new() -> None:
    events = order_recording().events
    client = Client(events[:30])
    reader = ExecutionReader(client, ARN, "a test", lambda: NOW)
    first = reader.read()
    assert first.as_of == NOW
    assert reader.read_if_changed() is None
    client.events, client.reads = events, 0
    assert first.reload is not None
    grown = first.reload()
    assert grown is not None
    assert len(grown.execution.events) == len(events)
    assert [event["EventId"] for event in grown.execution.events] == list(range(1, len(events) + 1))
    assert client.reads < len(events) // client.page
    client.status = "SUCCEEDED"
    assert reader.read().reload is None


def test_executions_are_listed_with_their_parts() -> None:
    each = next(list_from(Client([]), None, place="a test"))
    assert (each.name, each.function, each.status) == ("order-7f3a9c", "orders", "RUNNING")


def test_the_missing_permission_is_named() -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetDurableExecutionHistory")
    with pytest.raises(UnreachableError, match="grant lambda:GetDurableExecutionHistory"):
        aws.explain(denied, "")
    with pytest.raises(UnreachableError, match="AWS did not answer"):
        aws.explain(EndpointConnectionError(endpoint_url="http://x"), "")
    with pytest.raises(UnreachableError, match="does not take the request GetDurableExecution: it may be too old"):
        aws.explain(ParamValidationError(report="Unknown parameter"), "GetDurableExecution")
    with pytest.raises(ZeroDivisionError):
        aws.explain(ZeroDivisionError(), "")
    assert aws.is_absent(ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetDurableExecution"))


def test_the_region_of_an_arn_is_asked() -> None:
    assert aws.AwsPlace().for_arn(ARN).region == "eu-west-1"
    assert aws.AwsPlace(region="us-east-2").for_arn(ARN).region == "us-east-2"
    assert aws.AwsPlace(endpoint_url="http://localhost:9700").words == "Lambda API at http://localhost:9700"


def test_no_credentials_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(UnreachableError, match="no credentials"):
        aws.lambda_client(aws.AwsPlace(region="eu-west-1"))
    with pytest.raises(UnreachableError, match="profile"):
        aws.lambda_client(aws.AwsPlace(profile="nobody"))


def test_ambiguity_is_an_error_of_its_own() -> None:
    assert "2 executions match 'aaaa'" in str(AmbiguousError("aaaa", KNOWN[:2]))


def test_reading_a_long_history_tells_how_far_it_is() -> None:
    told: list[int] = []
    events = order_recording().events
    ExecutionReader(Client(events, page=100), ARN, "a test", lambda: NOW, progress=told.append).read()
    assert told == [*range(100, len(events), 100), len(events)]


def test_the_region_of_other_sdks_counts_and_none_is_an_error_that_teaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(UnreachableError, match="no AWS region: pass --region, set AWS_REGION"):
        aws.lambda_client(aws.AwsPlace())
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    client = aws.lambda_client(aws.AwsPlace())
    assert (client.meta.region_name, aws.AwsPlace().words) == ("eu-north-1", "AWS Lambda eu-north-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-south-1")
    client = aws.lambda_client(aws.AwsPlace())
    assert (client.meta.region_name, aws.AwsPlace().words) == ("eu-south-1", "AWS Lambda eu-south-1")
    assert aws.s3_client("eu-west-1", None).meta.region_name == "eu-west-1"
