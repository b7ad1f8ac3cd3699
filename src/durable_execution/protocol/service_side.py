"""The part of the protocol that an invocation never reads: ARNs and statuses of whole executions, and actions of updates.

Engines and readers of histories load it; a cold start does not.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

PATTERN = (
    r"arn:(?P<partition>[^:]+):lambda:(?P<region>[^:]*):(?P<account>\d{12}):function:(?P<function>[^:/\s]+):"
    r"(?P<version>\$LATEST(?:\.PUBLISHED)?|\d+)/durable-execution/(?P<name>[^/\s]+)/(?P<id>[^/\s]+)"
)
"""The ARN of an execution."""

LOCAL_REGION = "us-east-1"
LOCAL_ACCOUNT = "123456789012"


class OperationAction(StrEnum):
    """The action of a checkpoint update."""

    START = "START"
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    RETRY = "RETRY"
    CANCEL = "CANCEL"


class ExecutionStatus(StrEnum):
    """The status of an execution."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    DELETING = "DELETING"

    @property
    def is_terminal(self) -> bool:
        """Whether the execution has ended."""
        return self in TERMINAL_EXECUTION_STATUSES


TERMINAL_EXECUTION_STATUSES = frozenset(
    {ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.STOPPED}
)


class ExecutionArn(NamedTuple):
    """A parsed `arn:aws:lambda:REGION:ACCOUNT:function:FUNCTION:VERSION/durable-execution/NAME/ID`.

    Attributes:
        function: Function name.
        version: `$LATEST`, `$LATEST.PUBLISHED` or a number.
        name: Execution name, set by the caller or by the service.
        id: Execution id, set by the service.
    """

    function: str
    name: str
    id: str
    version: str = "$LATEST"
    region: str = LOCAL_REGION
    account: str = LOCAL_ACCOUNT
    partition: str = "aws"

    @classmethod
    def parse(cls, text: str) -> ExecutionArn:
        """Parse an ARN.

        Raises:
            ValueError: The text is not the ARN of a durable execution.
        """
        match = re.fullmatch(PATTERN, text)
        if match is None:
            raise ValueError(
                f"{text!r} is not the ARN of a durable execution: expected "
                "arn:aws:lambda:REGION:ACCOUNT:function:FUNCTION:VERSION/durable-execution/NAME/ID"
            )
        return cls(**match.groupdict())

    @property
    def function_arn(self) -> str:
        """The ARN of the function version that runs the execution."""
        return f"arn:{self.partition}:lambda:{self.region}:{self.account}:function:{self.function}:{self.version}"

    def __str__(self) -> str:
        return f"{self.function_arn}/durable-execution/{self.name}/{self.id}"
