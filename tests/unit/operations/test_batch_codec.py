"""How a batch is stored: as AWS's SDK for Python stores it, and as a summary when it is large."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from aws_durable_execution_sdk_python.concurrency.models import BatchResult as AwsBatchResult
from aws_durable_execution_sdk_python.serdes import EXTENDED_TYPES_SERDES as AWS
from hypothesis import given
from hypothesis import strategies as st

from durable_execution import BatchItem, BatchItemStatus, BatchResult, CompletionReason
from durable_execution.errors import SerializationError
from durable_execution.operations.batch_codec import Decision, batch_codec, read_decision, summarize
from durable_execution.protocol import ErrorObject
from durable_execution.serdes.codec import TAGGED, typed_codec
from durable_execution.serdes.interface import Codec


@dataclass
class Parcel:
    weight: float


def plain(_: int) -> Codec:
    return TAGGED


def typed(_: int) -> Codec:
    return typed_codec(Parcel)


def batch(
    *entries: tuple[BatchItemStatus, Any], reason: CompletionReason = CompletionReason.ALL_COMPLETED
) -> BatchResult[Any]:
    made = [
        BatchItem(index, status, None, ErrorObject("no", "ValueError", "data", ("line",)))
        if status is BatchItemStatus.FAILED
        else BatchItem(index, status, result)
        for index, (status, result) in enumerate(entries)
    ]
    return BatchResult(made, reason)


MIXED = batch(
    (BatchItemStatus.SUCCEEDED, {"a": (1, b"x")}),
    (BatchItemStatus.FAILED, None),
    (BatchItemStatus.STARTED, None),
    reason=CompletionReason.FAILURE_TOLERANCE_EXCEEDED,
)


@pytest.mark.parametrize(
    "value", [MIXED, batch(), batch((BatchItemStatus.SUCCEEDED, None))], ids=["mixed", "empty", "none"]
)
def test_a_batch_comes_back_as_what_it_was(value: BatchResult[Any]) -> None:
    codec = batch_codec(plain)
    assert codec.decode(codec.encode(value)) == value


def test_awss_sdk_reads_what_is_written_here() -> None:
    read = AWS.deserialize(batch_codec(plain).encode(MIXED), None)  # type: ignore[arg-type]
    assert isinstance(read, AwsBatchResult)
    assert read.completion_reason.value == "FAILURE_TOLERANCE_EXCEEDED"
    assert [found.status.value for found in read.all] == ["SUCCEEDED", "FAILED", "STARTED"]
    assert read.all[0].result == {"a": (1, b"x")}


def test_what_awss_sdk_writes_is_read_here() -> None:
    theirs: AwsBatchResult[Any] = AwsBatchResult.from_dict(
        {
            "all": [
                {"index": 0, "status": "SUCCEEDED", "result": (1, 2), "error": None},
                {
                    "index": 1,
                    "status": "FAILED",
                    "result": None,
                    "error": {"ErrorMessage": "no", "ErrorType": "ValueError"},
                },
            ],
            "completionReason": "FAILURE_TOLERANCE_EXCEEDED",
        }
    )
    read = batch_codec(plain).decode(AWS.serialize(theirs, None))  # type: ignore[arg-type]
    assert read.completion_reason is CompletionReason.FAILURE_TOLERANCE_EXCEEDED
    assert read.get_results() == [(1, 2)]
    assert read.get_errors() == [ErrorObject("no", "ValueError")]


def test_typed_items_come_back_as_what_they_were() -> None:
    codec = batch_codec(typed)
    value = batch((BatchItemStatus.SUCCEEDED, Parcel(1.5)), (BatchItemStatus.FAILED, None))
    restored = codec.decode(codec.encode(value))
    assert restored == value
    assert type(restored.all[0].result) is Parcel


@pytest.mark.parametrize(
    "text", ["null", "[]", "{}", '{"t":"br","v":{}}', '{"t":"br","v":{"all":{"t":"l","v":[1]},"completionReason":"x"}}']
)
def test_text_that_is_no_batch_is_refused(text: str) -> None:
    with pytest.raises(SerializationError, match="is not a batch result"):
        batch_codec(plain).decode(text)


JAVASCRIPT = (
    '{"all":[{"result":1,"index":0,"status":"SUCCEEDED"},{"index":1,"status":"FAILED","error":{"ErrorType":"StepError",'
    '"ErrorMessage":"no"}},{"index":2,"status":"STARTED"}],"completionReason":"MIN_SUCCESSFUL_REACHED"}'
)
RUST = (
    '{"items":[{"index":0,"status":"Succeeded","result":1,"error":null},{"index":1,"status":"Failed","result":null,"error":'
    '{"ErrorType":"StepError","ErrorMessage":"no"}},{"index":2,"status":"Started","result":null,"error":null}],'
    '"completion_reason":"MinSuccessfulReached"}'
)


@pytest.mark.parametrize("text", [JAVASCRIPT, RUST], ids=["JavaScript", "Rust"])
def test_what_other_languages_have_stored_is_read(text: str) -> None:
    assert batch_codec(plain).decode(text) == BatchResult(
        [
            BatchItem(0, BatchItemStatus.SUCCEEDED, 1),
            BatchItem(1, BatchItemStatus.FAILED, error=ErrorObject("no", "StepError")),
            BatchItem(2, BatchItemStatus.STARTED),
        ],
        CompletionReason.MIN_SUCCESSFUL_REACHED,
    )


def test_items_of_other_languages_have_the_type_that_is_asked_for() -> None:
    text = '{"all":[{"result":{"weight":2.5},"index":0,"status":"SUCCEEDED"}],"completionReason":"ALL_COMPLETED"}'
    assert batch_codec(typed).decode(text).get_results() == [Parcel(2.5)]


STATUSES = st.lists(st.sampled_from(list(BatchItemStatus)), max_size=12)


@given(STATUSES, st.sampled_from(list(CompletionReason)))
def test_a_summary_keeps_the_decision(statuses: list[BatchItemStatus], reason: CompletionReason) -> None:
    value = batch(*((status, "x") for status in statuses), reason=reason)
    unfinished = {index for index, status in enumerate(statuses) if status is BatchItemStatus.STARTED}
    decision = read_decision(summarize("MapResult", value, None))
    assert decision == Decision(reason, len(statuses), frozenset(unfinished))


def test_a_summary_says_what_a_person_wants_to_know() -> None:
    fields = json.loads(summarize("MapResult", MIXED, lambda value: f"{value.total_count} in all"))
    assert fields["type"] == "MapResult"
    assert (fields["totalCount"], fields["successCount"], fields["failureCount"], fields["startedCount"]) == (
        3,
        1,
        1,
        1,
    )
    assert fields["summary"] == "3 in all"
    assert fields["status"] == "FAILED"


@pytest.mark.parametrize("text", [None, "", "null", "[]", "{}", "nonsense", '{"totalCount": "x"}', '{"totalCount": 1}'])
def test_text_without_a_decision_has_none(text: str | None) -> None:
    assert read_decision(text) is None
