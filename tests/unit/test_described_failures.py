"""The error of a failed operation: also an instance of the original class, on the first run and on every replay."""

import json
import subprocess

import pytest

from durable_execution.errors import (
    CallbackTimeoutError,
    ChildContextError,
    OperationError,
    StepError,
    StepInterruptedError,
    make_failure,
    type_name,
)
from durable_execution.protocol import ErrorObject


class CardDeclinedError(Exception):
    """Cannot be made from a message alone."""

    def __init__(self, card: str, reason: str) -> None:
        super().__init__(f"{card}: {reason}")
        self.reason = reason


class OutOfStockError(LookupError):
    pass


@pytest.mark.parametrize(
    "original", [ValueError, KeyError, OutOfStockError, CardDeclinedError, OSError, ExceptionGroup, UnicodeDecodeError]
)
def test_it_can_be_caught_as_what_it_was(original: type[Exception]) -> None:
    failure = make_failure(StepError, ErrorObject("no", type_name(original), "data", ("line",)), operation="order/pay")
    assert isinstance(failure, StepError)
    assert (failure.message, failure.error_type, failure.data, failure.stack_trace) == (
        "no", type_name(original), "data", ("line",),
    )  # fmt: skip
    assert str(failure) == "no"
    assert failure.operation == "order/pay"


@pytest.mark.parametrize(
    "original", [ValueError, KeyError, OutOfStockError, CardDeclinedError, OSError, json.JSONDecodeError]
)
def test_it_is_an_instance_of_the_original_class(original: type[Exception]) -> None:
    failure = make_failure(StepError, ErrorObject("no", type_name(original)))
    with pytest.raises(original):
        raise failure


def test_a_class_that_is_not_here_leaves_the_operations_error() -> None:
    failure = make_failure(StepError, ErrorObject("no", "shop.errors.CardDeclinedError"))
    assert type(failure) is StepError
    assert failure.error_type == "shop.errors.CardDeclinedError"


def test_nothing_recorded_is_still_an_error() -> None:
    failure = make_failure(ChildContextError, None)
    assert type(failure) is ChildContextError
    assert failure.message is None


def test_the_base_of_an_operations_error_does_not_make_a_new_class() -> None:
    assert type(make_failure(StepError, ErrorObject("no", "Exception"))) is StepError
    assert type(make_failure(StepError, ErrorObject("no", type_name(OperationError)))) is StepError


def test_a_more_special_error_of_the_same_kind_is_kept() -> None:
    assert type(make_failure(StepError, ErrorObject("no", type_name(StepInterruptedError)))) is StepInterruptedError


def test_a_failure_that_passes_through_a_context_keeps_both_kinds() -> None:
    inner = make_failure(StepError, ErrorObject("no", "ValueError"))
    outer = make_failure(ChildContextError, ErrorObject(inner.message, inner.error_type))
    assert isinstance(outer, ChildContextError)
    assert isinstance(outer, ValueError)


def test_a_callbacks_error_inside_a_context_can_be_told() -> None:
    failure = make_failure(ChildContextError, ErrorObject("late", type_name(CallbackTimeoutError)))
    assert isinstance(failure, ChildContextError)
    assert isinstance(failure, CallbackTimeoutError)


def test_the_same_pair_of_classes_is_made_once() -> None:
    first, second = (make_failure(StepError, ErrorObject("no", "ValueError")) for _ in range(2))
    assert type(first) is type(second)


def test_it_is_shown_as_the_operations_error() -> None:
    failure = make_failure(StepError, ErrorObject("no", "ValueError"))
    assert type(failure).__name__ == "StepError"
    assert type(failure).__module__ == "durable_execution"


def test_attributes_of_the_original_that_cannot_be_restored_are_absent_not_wrong() -> None:
    failure = make_failure(StepError, ErrorObject("x", type_name(subprocess.CalledProcessError)))
    assert isinstance(failure, subprocess.CalledProcessError)
    assert not hasattr(failure, "returncode")
    assert str(failure) == "x"
