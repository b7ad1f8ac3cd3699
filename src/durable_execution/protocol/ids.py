"""Operation ids: a hash of the call's number and its context.

The derivation is the same as in AWS's SDK for Python, so that executions, tools and histories are interchangeable: the first
64 hex characters of blake2b-512 of `"<prefix>-<n>"`. The prefix is the id of the enclosing context; the root has none.

ARNs of durable executions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b


def operation_id(prefix: str | None, position: int) -> str:
    """Return the id of the n-th operation of a context.

    Args:
        prefix: Id of the enclosing context; None in the root context.
        position: 1 for the first call of the context, 2 for the second, in call order.

    Returns:
        64 lower-case hexadecimal characters.
    """
    source = f"{prefix}-{position}" if prefix else str(position)
    return blake2b(source.encode()).hexdigest()[:64]


def task_prefix(prefix: str | None, number: int) -> str:
    """Return the id prefix of the calls that a task makes, in place of its context's own prefix.

    Args:
        prefix: Prefix of the context or task that created the task; None in the root context.
        number: 1 for the first task created there.
    """
    source = f"{prefix}-task-{number}" if prefix else f"task-{number}"
    return blake2b(source.encode()).hexdigest()[:64]


def branch_id(operation: str, index: int) -> str:
    """Return the id of branch `index` (from 0) of a map or parallel operation."""
    return blake2b(f"{operation}-{index}".encode()).hexdigest()[:64]


PATTERN = re.compile(
    r"arn:(?P<partition>[^:]+):lambda:(?P<region>[^:]*):(?P<account>\d{12}):function:(?P<function>[^:/\s]+):"
    r"(?P<version>\$LATEST(?:\.PUBLISHED)?|\d+)/durable-execution/(?P<name>[^/\s]+)/(?P<id>[^/\s]+)"
)
LOCAL_REGION = "us-east-1"
LOCAL_ACCOUNT = "123456789012"


@dataclass(frozen=True, slots=True)
class ExecutionArn:
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
        match = PATTERN.fullmatch(text)
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
