"""Chooses the serializer of a value: the configured one, the one for its annotation, or tagged JSON.

A codec is the pair of functions that an operation uses. Values with a plain annotation (`str`, `dict`, `Any`) or without one
do not need pydantic, which is loaded only for a type that needs it.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Awaitable, Coroutine
from typing import Any, get_args, get_origin

from durable_execution.errors import DurableError, SerializationError
from durable_execution.serdes import tagged
from durable_execution.serdes.annotations import annotation_of, annotations_of
from durable_execution.serdes.error_texts import UnavailableError, reason, stored
from durable_execution.serdes.interface import Codec, SerDes, SerDesContext

PLAIN_TYPES = frozenset({None, Any, object, str, int, float, bool, type(None), dict, list, inspect.Parameter.empty})
PLAIN_ORIGINS = frozenset({dict, list, typing.Union, types.UnionType})
TAGGED = Codec(tagged.dumps, tagged.loads)


def codec_for(serdes: SerDes[Any] | None, annotation: Any, *, operation_id: str, execution_arn: str) -> Codec:
    """The codec for one value of one operation.

    Args:
        serdes: The configured serializer, which takes precedence; None when none is configured.
        annotation: The value's type; None when unknown.
        operation_id: Operation id for the `SerDesContext`.
        execution_arn: Execution ARN for the `SerDesContext`.
    """
    if serdes is not None:
        return _custom(serdes, SerDesContext(operation_id, execution_arn))
    if annotation is None:
        return TAGGED
    return typed_codec(annotation)


def codec_for_return(function: Any) -> Codec:
    """The codec for what a function returns, where no serializer and no type are configured."""
    if type(function) is types.FunctionType:
        written = annotations_of(function).get("return")
        try:
            if written in PLAIN_TYPES:
                return TAGGED
        except TypeError:  # it cannot be hashed
            return TAGGED
    annotation = return_annotation(function)
    return TAGGED if annotation is None else typed_codec(annotation)


def typed_codec(annotation: Any) -> Codec:
    """The codec for an annotation: tagged JSON for plain types, pydantic for the others."""
    try:
        return _typed_codec(annotation)
    except TypeError:  # an unhashable annotation cannot be cached
        return _typed_codec.__wrapped__(annotation)


@functools.cache
def _typed_codec(annotation: Any) -> Codec:
    if is_plain_annotation(annotation):
        return TAGGED
    from durable_execution.serdes.typed import pydantic_codec

    return pydantic_codec(annotation)


def is_plain_annotation(annotation: Any) -> bool:
    """Whether JSON restores every value of this type, so that no model is needed."""
    try:
        if annotation in PLAIN_TYPES:
            return True
    except TypeError:
        return False
    if isinstance(annotation, typing.TypeVar):
        return True
    origin = get_origin(annotation)
    return origin in PLAIN_ORIGINS and all(is_plain_annotation(argument) for argument in get_args(annotation))


@functools.lru_cache(maxsize=4096)
def _return_annotation(code_owner: Any) -> Any:
    try:
        annotation = annotation_of(code_owner, "return")
    except Exception:  # noqa: BLE001  # a forward reference that does not resolve: the type is unknown
        return None
    if get_origin(annotation) in (Awaitable, Coroutine):
        annotation = get_args(annotation)[-1]
    return annotation if annotation is not type(None) else None


def return_annotation(function: Any) -> Any:
    """The annotated return type of a function; None when it has none."""
    if not hasattr(function, "__code__"):
        function = getattr(function, "func", None) or getattr(type(function), "__call__", None)  # noqa: B004  # read for its annotations
    written = annotations_of(function).get("return")
    try:
        if written in PLAIN_TYPES:
            return written if written is not type(None) else None
        return _return_annotation(function)
    except TypeError:
        return None


def _custom(serdes: SerDes[Any], context: SerDesContext) -> Codec:
    def encode(value: Any) -> str:
        with_name = type(serdes).__name__
        try:
            text = serdes.serialize(value, context)
        except DurableError:
            raise
        except Exception as error:
            raise SerializationError(
                f"{with_name} cannot serialize {type(value).__name__}: {type(error).__name__}: {reason(error)}"
            ) from error
        if not isinstance(text, str):
            raise SerializationError(f"{with_name}.serialize returned {type(text).__name__}; it must return str")
        return text

    def decode(text: str) -> Any:
        try:
            return serdes.deserialize(text, context)
        except DurableError:
            raise
        except Exception as error:
            raise UnavailableError(
                f"{type(serdes).__name__} cannot deserialize {stored(text)}: {type(error).__name__}: {reason(error)}"
            ) from error

    return Codec(encode, decode, is_blocking=bool(getattr(serdes, "is_blocking", False)))
