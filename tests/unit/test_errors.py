"""The tree of errors is the one its docstring draws, and every error says what it is worth."""

import inspect
import re
import subprocess
from typing import Any

import pytest

from durable_execution import errors
from durable_execution.errors import (
    DurableError,
    ExecutionError,
    InvocationError,
    NotDurableError,
    OperationError,
    ServiceError,
    StepError,
    SuspendExecution,
    error_object,
    resolve_type,
    type_name,
)
from durable_execution.protocol import ErrorObject


class CardDeclinedError(Exception):
    class DetailsError(Exception):
        pass


def drawn_tree() -> dict[str, str | None]:
    """Each class in the docstring's drawing, with the class it hangs from."""
    drawing = re.search(r"```\n(.*?)```", errors.__doc__ or "", re.DOTALL)
    assert drawing is not None
    tree: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in drawing[1].splitlines():
        match = re.match(r"([│├└─ ]*)(\w+)", line)
        assert match is not None, line
        indent, name = len(match[1]), match[2]
        above = [(column, parent) for column, parent in above if column < indent]
        tree[name] = above[-1][1] if above else None
        above.append((indent, name))
    return tree


def test_the_drawing_is_the_tree() -> None:
    defined = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value)
        and issubclass(value, BaseException)
        and value.__module__ in {errors.__name__, "durable_execution"}
    }
    drawn = drawn_tree()
    assert set(drawn) == set(defined)
    for name, parent in drawn.items():
        if parent is not None:
            assert defined[name].__bases__[0] is defined[parent], f"{name} does not hang from {parent}"


def test_the_roots_are_drawn_at_the_left() -> None:
    roots = {name for name, parent in drawn_tree().items() if parent is None}
    assert roots == {"DurableError", "ServiceError", "EngineError", "SuspendExecution"}
    assert issubclass(ServiceError, DurableError)
    assert not issubclass(SuspendExecution, Exception)


def test_every_error_is_documented() -> None:
    for name in drawn_tree():
        assert inspect.getdoc(getattr(errors, name)), name


def test_shorthands_make_the_two_kinds_of_failure() -> None:
    fatal, passing = DurableError.execution("no"), DurableError.invocation("later")
    assert type(fatal) is ExecutionError
    assert type(passing) is InvocationError
    assert (fatal.is_retriable, passing.is_retriable) == (False, True)


@pytest.mark.parametrize(
    ("code", "status", "message", "retriable"),
    [
        ("TooManyRequestsException", 429, "slow down", True),
        ("ServiceException", 500, "oops", True),
        ("Timeout", None, "no answer", True),
        ("InvalidParameterValueException", 400, "Invalid checkpoint token", True),
        ("InvalidParameterValueException", 400, "Invalid checkpoint token: consumed", True),
        ("InvalidParameterValueException", 400, "The Invalid checkpoint token", False),
        ("InvalidParameterValueException", 400, "Inconsistent operation type.", False),
        ("ResourceNotFoundException", 404, "gone", False),
        ("KMSAccessDeniedException", 502, "no key", False),
        ("KMSDisabledException", 502, "no key", False),
        ("KMSInvalidStateException", 502, "no key", False),
        ("KMSNotFoundException", 502, "no key", False),
        ("Other", 502, "bad gateway", True),
    ],
)
def test_what_of_the_service_is_worth_a_retry(code: str, status: int | None, message: str, retriable: bool) -> None:
    assert ServiceError(code, message, status=status).is_retriable is retriable


def test_only_the_beginning_of_the_message_makes_a_token_stale() -> None:
    assert ServiceError("InvalidParameterValueException", "Invalid checkpoint token!", status=400).is_stale_token
    assert not ServiceError("ServiceException", "Invalid checkpoint token", status=500).is_stale_token


@pytest.mark.parametrize("event", [{"order": 1}, [], None, "text", {1: 2, "a": 3}], ids=repr)
def test_a_plain_event_is_explained(event: Any) -> None:
    text = str(NotDurableError(event))
    assert "not configured as durable" in text
    assert "DurableConfig" in text


def test_names_on_the_wire() -> None:
    assert type_name(ValueError) == "ValueError"
    assert type_name(StepError) == "durable_execution.errors.StepError"
    assert type_name(CardDeclinedError.DetailsError) == f"{__name__}.CardDeclinedError.DetailsError"


@pytest.mark.parametrize("cls", [ValueError, ExceptionGroup, CardDeclinedError, StepError, subprocess.TimeoutExpired])
def test_names_are_resolved_to_what_they_name(cls: type[Exception]) -> None:
    assert resolve_type(type_name(cls)) is cls


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "NoSuchError",
        "print",
        "int",
        "KeyboardInterrupt",
        "no.such.module.Error",
        "sys.exit",
        ".",
        "os.",
        "...",
    ],
)
def test_names_that_are_no_exception_resolve_to_nothing(name: str | None) -> None:
    assert resolve_type(name) is None


def test_resolving_a_name_imports_nothing() -> None:
    import sys

    assert "this" not in sys.modules
    assert resolve_type("this.Error") is None
    assert "this" not in sys.modules


def test_an_exception_becomes_an_error_object() -> None:
    assert error_object(ValueError("no")) == ErrorObject("no", "ValueError")
    assert error_object(ValueError(), stack_trace=("line",)) == ErrorObject("", "ValueError", None, ("line",))


def test_an_operations_error_keeps_what_was_recorded() -> None:
    failure = OperationError("no", "shop.Declined", "data", ("line",), operation="order/pay", operation_id="1")
    assert error_object(failure, stack_trace=("elsewhere",)) == ErrorObject("no", "shop.Declined", "data", ("line",))
    assert str(failure) == "no"
    assert (failure.operation, failure.operation_id) == ("order/pay", "1")


def test_an_error_without_a_message_or_a_type_still_has_text_and_a_name() -> None:
    assert str(StepError()) == ""
    assert StepError().error_type == "durable_execution.errors.StepError"


def test_suspension_says_how_to_let_it_through() -> None:
    assert "except Exception" in str(SuspendExecution())
