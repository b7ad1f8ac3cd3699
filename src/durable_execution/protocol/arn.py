"""ARNs of durable executions."""

import re
from dataclasses import dataclass

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
    def parse(cls, text: str) -> "ExecutionArn":
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
