"""When a batch is complete, and why: strictly more than tolerated, and which reason wins."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution import CompletionReason
from durable_execution.config import (
    CompletionConfig,
    CompletionDecision,
    CompletionItem,
    CompletionOutcome,
    CompletionStatus,
)
from durable_execution.operations.batch import CompletionPolicy

ALL, MIN, TOLERANCE = (
    CompletionReason.ALL_COMPLETED,
    CompletionReason.MIN_SUCCESSFUL_REACHED,
    CompletionReason.FAILURE_TOLERANCE_EXCEEDED,
)


def reason(total: int, succeeded: int, failed: int, **criteria: Any) -> CompletionReason | None:
    return CompletionPolicy(total, CompletionConfig(**criteria), succeeded=succeeded, failed=failed).reason(list)


@pytest.mark.parametrize(
    ("succeeded", "failed", "expected"),
    [(0, 0, None), (2, 0, None), (4, 0, ALL), (0, 1, TOLERANCE), (3, 1, TOLERANCE)],
)
def test_without_criteria_the_first_failure_completes(
    succeeded: int, failed: int, expected: CompletionReason | None
) -> None:
    assert reason(4, succeeded, failed) is expected


@pytest.mark.parametrize(
    ("tolerated", "failed", "expected"),
    [(0, 0, None), (0, 1, TOLERANCE), (1, 1, None), (1, 2, TOLERANCE), (9, 9, None)],
)
def test_a_count_is_exceeded_by_more_than_it(tolerated: int, failed: int, expected: CompletionReason | None) -> None:
    assert reason(10, 0, failed, tolerated_failure_count=tolerated) is expected


@pytest.mark.parametrize(
    ("percentage", "failed", "expected"),
    [
        (0, 0, None),
        (0, 1, TOLERANCE),
        (50, 5, None),
        (50, 6, TOLERANCE),
        (30, 3, None),
        (33.3, 4, TOLERANCE),
        (100, 9, None),
    ],
)
def test_a_percentage_is_of_all_branches(percentage: float, failed: int, expected: CompletionReason | None) -> None:
    assert reason(10, 0, failed, tolerated_failure_percentage=percentage) is expected


@given(st.integers(1, 1000), st.data())
def test_a_percentage_that_is_met_exactly_is_not_exceeded(total: int, data: st.DataObject) -> None:
    failed = data.draw(st.integers(0, total - 1))
    assert reason(total, 0, failed, tolerated_failure_percentage=failed * 100 / total) is None


def test_seven_of_a_hundred_are_seven_percent() -> None:
    assert reason(100, 0, 7, tolerated_failure_percentage=7) is None
    assert reason(100, 0, 8, tolerated_failure_percentage=7) is TOLERANCE


def test_all_failing_within_tolerance_is_all_completed() -> None:
    assert reason(4, 0, 4, tolerated_failure_percentage=100) is ALL
    assert reason(4, 0, 4, tolerated_failure_count=4) is ALL


@pytest.mark.parametrize(
    ("succeeded", "failed", "expected"),
    [(1, 0, None), (2, 0, MIN), (2, 1, MIN), (0, 3, None), (1, 3, ALL), (2, 2, ALL)],
)
def test_enough_successes_complete(succeeded: int, failed: int, expected: CompletionReason | None) -> None:
    assert reason(4, succeeded, failed, min_successful=2) is expected


def test_more_successes_than_there_are_branches_never_come() -> None:
    assert reason(2, 2, 0, min_successful=3) is ALL
    assert reason(2, 1, 1, min_successful=3) is ALL


def test_a_tolerance_wins_over_enough_successes() -> None:
    assert reason(5, 2, 2, min_successful=2, tolerated_failure_count=1) is TOLERANCE
    assert reason(5, 2, 1, min_successful=2, tolerated_failure_count=1) is MIN


def test_either_tolerance_is_enough() -> None:
    assert reason(10, 0, 2, tolerated_failure_count=5, tolerated_failure_percentage=10) is TOLERANCE
    assert reason(10, 0, 2, tolerated_failure_count=1, tolerated_failure_percentage=90) is TOLERANCE


def custom(outcome: CompletionOutcome | None) -> CompletionConfig:
    return CompletionConfig(should_complete=lambda status: CompletionDecision(outcome))


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (CompletionOutcome.SUCCEEDED, CompletionReason.CUSTOM_COMPLETION_SUCCEEDED),
        (CompletionOutcome.FAILED, CompletionReason.CUSTOM_COMPLETION_FAILED),
        (None, None),
    ],
)
def test_a_rule_of_the_applications_own_decides(
    outcome: CompletionOutcome | None, expected: CompletionReason | None
) -> None:
    assert CompletionPolicy(3, custom(outcome), succeeded=1, failed=1).reason(list) is expected


def test_a_rule_that_never_ends_it_runs_to_the_last_branch() -> None:
    assert CompletionPolicy(3, custom(None), succeeded=1, failed=2).reason(list) is ALL


def test_a_rule_sees_every_branch() -> None:
    seen: list[CompletionStatus] = []

    def rule(status: CompletionStatus) -> CompletionDecision:
        seen.append(status)
        return CompletionDecision.go_on()

    items = [CompletionItem(0, "a"), CompletionItem(1, "b"), CompletionItem(2, "c")]
    CompletionPolicy(3, CompletionConfig(should_complete=rule), succeeded=1, failed=1).reason(lambda: items)
    assert seen == [CompletionStatus(1, 1, 2, 3, tuple(items))]


@given(
    st.integers(1, 20),
    st.data(),
    st.none() | st.integers(1, 20),
    st.none() | st.integers(0, 20),
    st.none() | st.floats(0, 100),
)
def test_every_batch_comes_to_an_end(
    total: int, data: st.DataObject, minimum: int | None, count: int | None, percentage: float | None
) -> None:
    config = CompletionConfig(minimum, count, percentage)
    policy = CompletionPolicy(total, config)
    for _ in range(total):
        assert policy.reason(list) is None
        if data.draw(st.booleans()):
            policy.succeeded += 1
        else:
            policy.failed += 1
        if policy.reason(list) is not None:
            return
    raise AssertionError("all branches have ended, and the batch has not")
