"""The Lambda context object that a replay passes to the handler."""

import sys
from typing import Any

from durable_execution.replayer.frames import user_stack
from durable_execution.replayer.suspects import SuspectKind, SuspectList

VALUES: dict[str, Any] = {
    "aws_request_id": "00000000-0000-4000-8000-000000000000",
    "log_group_name": "/aws/lambda/replayed",
    "log_stream_name": "2020/01/01/[$LATEST]replay",
    "function_name": "replayed",
    "function_version": "$LATEST",
    "invoked_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:replayed:$LATEST",
    "memory_limit_in_mb": "128",
    "identity": None,
    "client_context": None,
    "tenant_id": None,
}
VARYING = frozenset({"aws_request_id", "log_stream_name", "get_remaining_time_in_millis"})
"""Attributes whose value differs between invocations of the same execution."""


class ReplayLambdaContext:
    """Looks like Lambda's context, and records when user code reads an attribute that varies between invocations."""

    def __init__(self, suspects: SuspectList) -> None:
        self._suspects = suspects

    def __getattr__(self, name: str) -> Any:
        if name in VARYING:
            stack = user_stack(sys._getframe(1))  # noqa: SLF001  # the reader's frame
            self._suspects.add(SuspectKind.CONTEXT, f"lambda_context.{name}", stack)
        if name == "get_remaining_time_in_millis":
            return lambda: 60_000
        if name in VALUES:
            return VALUES[name]
        raise AttributeError(f"the Lambda context has no attribute {name!r}")
