"""Validates the value a durable handler returns, as strictly as the service does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from durable_execution.errors import ServiceError
from durable_execution.local.lifecycle import encode_error
from durable_execution.local.updates import read_error
from durable_execution.protocol import ErrorObject

INVALID = "InvalidParameterValueException"


@dataclass(frozen=True, slots=True)
class Ended:
    """The execution ends.

    Attributes:
        status: SUCCEEDED or FAILED.
        result: Serialized result.
        error: Error object as JSON.
    """

    status: str
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The handler returned PENDING: it waits for an external event."""


class Idle:
    """A handler returned PENDING although no operation is pending."""

    error: ClassVar[ErrorObject] = ErrorObject("Cannot return PENDING status with no pending operations.", INVALID)


def read_answer(value: Any, max_bytes: int) -> Ended | Waiting:
    """Validate what a handler returned. An invalid value ends the execution as FAILED.

    Args:
        value: The returned value.
        max_bytes: Maximum size of a result, in bytes.
    """
    if not isinstance(value, Mapping):
        return _broken(f"a durable function must return an object with a Status, not {type(value).__name__}")
    status, result, error = value.get("Status"), value.get("Result"), value.get("Error")
    if status == "PENDING":
        return Waiting()
    if status == "SUCCEEDED":
        return _succeeded(result, error, max_bytes)
    if status == "FAILED":
        return _failed(result, error)
    return _broken(f"Status must be SUCCEEDED, FAILED or PENDING, not {status!r:.80}")


def _succeeded(result: Any, error: Any, max_bytes: int) -> Ended:
    if error is not None:
        return _broken("Error cannot be returned with Status SUCCEEDED")
    if result is not None and not isinstance(result, str):
        return _broken(f"Result must be a string of serialized JSON, not {type(result).__name__}")
    try:
        size = len(result.encode()) if result else 0
    except UnicodeEncodeError:
        return _broken("Result contains an unpaired surrogate, which is not valid Unicode")
    if size > max_bytes:
        return _broken(f"Result must be at most {max_bytes} bytes, but is {size}")
    return Ended("SUCCEEDED", result=result)


def _failed(result: Any, error: Any) -> Ended:
    if result is not None:
        return _broken("Result cannot be returned with Status FAILED")
    try:
        return Ended("FAILED", error=read_error(error) or "{}")
    except ServiceError as refused:
        return _broken(refused.message)


def _broken(reason: str) -> Ended:
    return Ended("FAILED", error=encode_error(ErrorObject(f"Invalid output of the handler: {reason}.", INVALID)))
