"""The context object a handler gets, as Lambda makes it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from durable_execution.clock import Clock


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What Lambda tells a function about its invocation.

    Attributes:
        aws_request_id: Id of the invocation.
        function_name: Function name.
        function_version: Version that runs.
        invoked_function_arn: ARN it was invoked by.
        tenant_id: Tenant; None without tenant isolation.
        client_context: The caller's client context, decoded; None without one.
        deadline: When the invocation runs out of time.
        clock: Tells how much of it is left.
        trace_header: What Lambda puts into `_X_AMZN_TRACE_ID`; None when the execution was started without.
        memory_limit_in_mb: Always 128 here.
        identity: Always None here.
    """

    aws_request_id: str
    function_name: str
    function_version: str
    invoked_function_arn: str
    tenant_id: str | None
    client_context: Any
    deadline: datetime
    clock: Clock
    trace_header: str | None = None
    memory_limit_in_mb: int = 128
    identity: Any = None

    @property
    def log_group_name(self) -> str:
        """Where Lambda would write the logs."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """The part of the logs that is this engine's."""
        return f"local/[{self.function_version}]"

    def get_remaining_time_in_millis(self) -> int:
        """How long the invocation may still run."""
        left = self.deadline - self.clock.now()
        return max(0, int(left.total_seconds() * 1000))
