"""Executions on AWS. The one module of the debugger that imports boto3, when it is first needed."""

import os
from dataclasses import dataclass
from typing import Any, NoReturn

from durable_debugger.sources.found import UnreachableError
from durable_execution.protocol import ExecutionArn
from durable_execution.protocol.arn import LOCAL_REGION

IAM_ACTIONS = {
    "GetDurableExecution": "lambda:GetDurableExecution",
    "GetDurableExecutionHistory": "lambda:GetDurableExecutionHistory",
    "ListDurableExecutionsByFunction": "lambda:ListDurableExecutionsByFunction",
    "StopDurableExecution": "lambda:StopDurableExecution",
    "SendDurableExecutionCallbackSuccess": "lambda:SendDurableExecutionCallbackSuccess",
    "SendDurableExecutionCallbackFailure": "lambda:SendDurableExecutionCallbackFailure",
    "SendDurableExecutionCallbackHeartbeat": "lambda:SendDurableExecutionCallbackHeartbeat",
}
DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "ExpiredTokenException"})
ABSENT = frozenset({"ResourceNotFoundException"})


@dataclass(frozen=True, slots=True)
class AwsPlace:
    """Which AWS to ask.

    Attributes:
        region: Region; None takes the ARN's or the environment's.
        profile: Profile of the shared configuration; None takes the environment's.
        endpoint_url: Another endpoint, for example `durable-debug serve`; None takes AWS's.
    """

    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None

    def for_arn(self, arn: str) -> "AwsPlace":
        """The same, in the region of an ARN."""
        try:
            region = ExecutionArn.parse(arn).region
        except ValueError:
            return self
        return AwsPlace(self.region or region, self.profile, self.endpoint_url)

    @property
    def words(self) -> str:
        """The place, in words."""
        if self.endpoint_url:
            return f"Lambda API at {self.endpoint_url}"
        region = self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
        return f"AWS Lambda {region}".rstrip()


def lambda_client(place: AwsPlace) -> Any:
    """A Lambda client.

    Raises:
        UnreachableError: There are no credentials, no region, or no such profile.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session(profile_name=place.profile, region_name=place.region)
        made_up: dict[str, Any] = {}
        if place.endpoint_url:  # a server that checks no credentials must not need them
            made_up = {"region_name": session.region_name or LOCAL_REGION}
            if session.get_credentials() is None:
                made_up |= {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        elif session.get_credentials() is None:
            raise UnreachableError(
                "no credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or log in with `aws sso login`"
            )
        retries = Config(retries={"max_attempts": 3, "mode": "standard"}, connect_timeout=5, read_timeout=30)
        return session.client("lambda", endpoint_url=place.endpoint_url, config=retries, **made_up)
    except BotoCoreError as error:
        raise UnreachableError(str(error)) from error


def explain(error: Exception, operation: str) -> NoReturn:
    """Turn an error of boto3 into one that says what to do; anything else is raised as it is.

    Raises:
        UnreachableError: The service refused or did not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        operation = error.operation_name or operation
        found = error.response.get("Error", {})
        code, message = found.get("Code", ""), found.get("Message", "")
        if code in DENIED:
            action = IAM_ACTIONS.get(operation, f"lambda:{operation}")
            raise UnreachableError(f"no permission: allow {action} ({code}: {message})") from error
        raise UnreachableError(f"{operation} was refused: {code}: {message}") from error
    if isinstance(error, BotoCoreError):
        raise UnreachableError(f"no answer: {error}") from error
    raise error


def is_absent(error: Exception) -> bool:
    """Whether an error only says that there is no such execution."""
    response = getattr(error, "response", None)
    return isinstance(response, dict) and response.get("Error", {}).get("Code") in ABSENT
