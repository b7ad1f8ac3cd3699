"""Measures payloads, and warns when one approaches a limit."""

from __future__ import annotations

import logging

from durable_execution.protocol.enums import MAX_CONTEXT_RESULT_BYTES, MAX_PAYLOAD_BYTES, MAX_RESPONSE_BYTES
from durable_execution.protocol.envelope import response_size, succeeded
from durable_execution.serdes.wrappers import to_bytes

logger = logging.getLogger("durable_execution")

NEAR = 0.8
"""The share of a limit at which a warning is logged."""

CURE = "Return less, or use CompressedSerDes or OffloadedSerDes from durable_execution.serdes"


def size_in_bytes(text: str) -> int:
    """Size of a text in bytes of UTF-8."""
    return len(text) if text.isascii() else len(to_bytes(text))


def report_operation_size(text: str, *, operation: str, execution_arn: str, is_context: bool) -> None:
    """Log a warning when the result of an operation approaches its limit: 1 MiB, or the 256 KiB of a context.

    Args:
        text: The serialized result.
        operation: Readable path of the operation.
        execution_arn: ARN of the execution.
        is_context: Whether the result belongs to a context. A context whose result is too large is rebuilt from its
            operations.
    """
    size = size_in_bytes(text)
    limit = MAX_CONTEXT_RESULT_BYTES if is_context else MAX_PAYLOAD_BYTES
    if size < limit * NEAR:
        return
    if is_context:
        meaning = "that are stored for a context"
        above = "the code of the context runs again on every replay, to rebuild the result"
    else:
        meaning, above = "that the service stores for an operation", "the service refuses it"
    _warn(operation, size, limit, meaning, above, execution_arn)


def report_handler_size(text: str, *, handler: str, execution_arn: str) -> None:
    """Log a warning when the result of a handler, escaped in the response, approaches the 6 MiB that Lambda returns.

    Args:
        text: The serialized result.
        handler: Name of the handler.
        execution_arn: ARN of the execution.
    """
    size = response_size(succeeded(text))
    if size < MAX_RESPONSE_BYTES * NEAR:
        return
    above = "a separate checkpoint stores it, if the service accepts that size"
    _warn(handler, size, MAX_RESPONSE_BYTES, "that a function can return", above, execution_arn)


def _warn(path: str, size: int, limit: int, meaning: str, above: str, execution_arn: str) -> None:
    logger.warning(
        "the result of %s has %s bytes, %d %% of the %s %s. Above that limit, %s. %s",
        path,
        f"{size:,}",
        round(size / limit * 100),
        f"{limit:,}",
        meaning,
        above,
        CURE,
        extra={"executionArn": execution_arn, "operationPath": path, "payloadBytes": size},
    )
