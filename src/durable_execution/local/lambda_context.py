"""The context object a handler receives from Lambda."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from durable_execution.clock import Clock


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """Lambda's context object for one invocation.

    Attributes:
        aws_request_id: Id of the invocation.
        function_name: Function name.
        function_version: Function version.
        invoked_function_arn: ARN used to invoke the function.
        tenant_id: Tenant id; None without tenant isolation.
        client_context: The caller's decoded client context; None without one.
        deadline: When the invocation times out.
        clock: The clock that measures the remaining time.
        trace_header: Value of `_X_AMZN_TRACE_ID`; None if the execution was started without one.
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
        """Name of the log group on Lambda."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """Name of the log stream of this engine."""
        return f"local/[{self.function_version}]"

    def get_remaining_time_in_millis(self) -> int:
        """Time left until the invocation times out, in milliseconds."""
        left = self.deadline - self.clock.now()
        return max(0, int(left.total_seconds() * 1000))
