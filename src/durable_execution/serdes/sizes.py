"""How large a payload is, and a word in time when it comes near a limit."""

from __future__ import annotations

import logging

from durable_execution.protocol.limits import MAX_CONTEXT_RESULT_BYTES, MAX_RESPONSE_BYTES
from durable_execution.serdes.wrapping import to_bytes

logger = logging.getLogger("durable_execution")

NEAR = 0.8
"""The share of a limit from which on it is worth a word."""

CURE = "Return less, or keep the bulk elsewhere (durable_execution.serdes: CompressedSerDes, OffloadedSerDes)"


def size_in_bytes(text: str) -> int:
    """Bytes of a text as UTF-8."""
    return len(text) if text.isascii() else len(to_bytes(text))


def report_operation_size(text: str, *, operation: str, execution_arn: str, is_context: bool) -> None:
    """Log when an operation's result comes near the 256 KiB that are kept inline.

    Args:
        text: The serialized result.
        operation: Readable path of the operation.
        execution_arn: Its execution.
        is_context: Whether the result is a context's, which is rebuilt from its operations when it is too large.
    """
    size = size_in_bytes(text)
    if size < MAX_CONTEXT_RESULT_BYTES * NEAR:
        return
    if is_context:
        above = "the context's code runs again on every replay, to rebuild it"
    else:
        above = "the service may refuse it, and every later invocation has to load it"
    _warn(operation, size, MAX_CONTEXT_RESULT_BYTES, "that are kept inline", above, execution_arn)


def report_handler_size(text: str, *, handler: str, execution_arn: str) -> None:
    """Log when a handler's result comes near the 6 MiB that a function can return.

    Args:
        text: The serialized result.
        handler: Name of the handler.
        execution_arn: The execution.
    """
    size = size_in_bytes(text)
    if size < MAX_RESPONSE_BYTES * NEAR:
        return
    above = "it is stored by a checkpoint of its own, as far as the service takes that"
    _warn(handler, size, MAX_RESPONSE_BYTES, "that a function can return", above, execution_arn)


def _warn(place: str, size: int, limit: int, meaning: str, above: str, execution_arn: str) -> None:
    logger.warning(
        "the result of %s has %s bytes: %d %% of the %s %s. Above that limit %s. %s",
        place,
        f"{size:,}",
        round(size / limit * 100),
        f"{limit:,}",
        meaning,
        above,
        CURE,
        extra={"executionArn": execution_arn, "operationPath": place, "payloadBytes": size},
    )
