"""What a map or parallel comes to, and its accessors."""

import pytest

from durable_execution import BatchItem, BatchItemStatus, BatchResult, CompletionReason
from durable_execution.errors import BatchError, ChildContextError
from durable_execution.protocol import ErrorObject

NO = ErrorObject("no", "ValueError")


def item(index: int, status: BatchItemStatus, result: object = None) -> BatchItem[object]:
    return BatchItem(index, status, result, NO if status is BatchItemStatus.FAILED else None)


MIXED: BatchResult[object] = BatchResult(
    [
        item(0, BatchItemStatus.SUCCEEDED, "a"),
        item(1, BatchItemStatus.FAILED),
        item(2, BatchItemStatus.STARTED),
        item(3, BatchItemStatus.SUCCEEDED),
    ],
    CompletionReason.MIN_SUCCESSFUL_REACHED,
)
GOOD: BatchResult[object] = BatchResult([item(0, BatchItemStatus.SUCCEEDED, 1)], CompletionReason.ALL_COMPLETED)
EMPTY: BatchResult[object] = BatchResult([], CompletionReason.ALL_COMPLETED)


def test_items_by_status() -> None:
    assert [found.index for found in MIXED.succeeded()] == [0, 3]
    assert [found.index for found in MIXED.failed()] == [1]
    assert [found.index for found in MIXED.started()] == [2]


def test_counts() -> None:
    counts = (MIXED.total_count, MIXED.success_count, MIXED.failure_count, MIXED.started_count)
    assert counts == (4, 2, 1, 1)
    assert len(MIXED) == 4
    assert [found.index for found in MIXED] == [0, 1, 2, 3]


def test_results_keep_their_order_and_none_is_a_result() -> None:
    assert MIXED.get_results() == ["a", None]


def test_errors_keep_their_order() -> None:
    assert MIXED.get_errors() == [NO]


def test_any_failure_makes_the_batch_failed() -> None:
    assert MIXED.status is BatchItemStatus.FAILED
    assert MIXED.has_failure
    assert GOOD.status is BatchItemStatus.SUCCEEDED
    assert not GOOD.has_failure
    assert EMPTY.status is BatchItemStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (CompletionReason.CUSTOM_COMPLETION_SUCCEEDED, BatchItemStatus.SUCCEEDED),
        (CompletionReason.CUSTOM_COMPLETION_FAILED, BatchItemStatus.FAILED),
    ],
)
def test_a_rule_of_the_applications_own_has_the_last_word(reason: CompletionReason, status: BatchItemStatus) -> None:
    assert BatchResult(MIXED.all, reason).status is status
    assert BatchResult(GOOD.all, reason).status is status


def test_the_first_failure_can_be_raised_as_what_it_was() -> None:
    with pytest.raises(ValueError, match="no") as raised:
        MIXED.throw_if_error()
    assert isinstance(raised.value, ChildContextError)
    assert raised.value.operation == "branch 1"


def test_without_a_failure_nothing_is_raised() -> None:
    GOOD.throw_if_error()
    EMPTY.throw_if_error()


def test_a_batch_that_its_rule_has_failed_raises_too() -> None:
    with pytest.raises(BatchError, match="CUSTOM_COMPLETION_FAILED"):
        BatchResult(GOOD.all, CompletionReason.CUSTOM_COMPLETION_FAILED).throw_if_error()


def test_a_failure_without_an_error_still_has_one() -> None:
    batch: BatchResult[object] = BatchResult(
        [BatchItem(0, BatchItemStatus.FAILED)], CompletionReason.FAILURE_TOLERANCE_EXCEEDED
    )
    assert batch.get_errors() == [ErrorObject()]
    with pytest.raises(ChildContextError):
        batch.throw_if_error()
