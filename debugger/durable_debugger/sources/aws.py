"""Executions on AWS. The only module of the debugger that imports boto3, on first use."""

import os
from dataclasses import dataclass
from typing import Any, NoReturn

from durable_debugger.sources.found import UnreachableError
from durable_execution.errors import DurableError
from durable_execution.protocol import ExecutionArn
from durable_execution.protocol.service_side import LOCAL_REGION
from durable_execution.runtime.endpoint import is_unreadable_answer, unreadable_answer

IAM_ACTIONS = {
    "DeleteDurableExecution": "lambda:DeleteDurableExecution",
    "GetDurableExecution": "lambda:GetDurableExecution",
    "GetDurableExecutionHistory": "lambda:GetDurableExecutionHistory",
    "ListDurableExecutionsByFunction": "lambda:ListDurableExecutionsByFunction",
    "PauseDurableExecution": "lambda:PauseDurableExecution",
    "ResumeDurableExecution": "lambda:ResumeDurableExecution",
    "StopDurableExecution": "lambda:StopDurableExecution",
    "SendDurableExecutionCallbackSuccess": "lambda:SendDurableExecutionCallbackSuccess",
    "SendDurableExecutionCallbackFailure": "lambda:SendDurableExecutionCallbackFailure",
    "SendDurableExecutionCallbackHeartbeat": "lambda:SendDurableExecutionCallbackHeartbeat",
}
DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "ExpiredTokenException"})
NO_CREDENTIALS = "no credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or log in with `aws sso login`"
NO_REGION = "no AWS region: pass --region, set AWS_REGION, or choose a profile that has one"
ABSENT = frozenset({"ResourceNotFoundException"})


@dataclass(frozen=True, slots=True)
class AwsPlace:
    """Region, profile and endpoint of AWS.

    Attributes:
        region: Region; None uses the ARN's or the environment's.
        profile: Profile of the shared configuration; None uses the environment's.
        endpoint_url: Endpoint, for example of `durable-debug serve`; None uses AWS's.
    """

    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None

    def for_arn(self, arn: str) -> "AwsPlace":
        """Return the same place in the region of an ARN."""
        try:
            region = ExecutionArn.parse(arn).region
        except ValueError:
            return self
        return AwsPlace(self.region or region, self.profile, self.endpoint_url)

    @property
    def words(self) -> str:
        """Description of the place."""
        if self.endpoint_url:
            return f"Lambda API at {self.endpoint_url}"
        region = self.region or os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or ""
        return f"AWS Lambda {region}".rstrip()


def lambda_client(place: AwsPlace) -> Any:
    """Create a Lambda client.

    Raises:
        UnreachableError: Credentials, region or profile are missing.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, NoRegionError

    try:
        session = _session(place.region, place.profile)
        substitutes: dict[str, Any] = {}
        if place.endpoint_url:  # a local server checks no credentials
            substitutes = {"region_name": session.region_name or LOCAL_REGION}
            if session.get_credentials() is None:
                substitutes |= {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        elif session.get_credentials() is None:
            raise UnreachableError(NO_CREDENTIALS)
        # adaptive: many reads at the same time slow down when the service throttles them, instead of failing
        retries = Config(retries={"max_attempts": 3, "mode": "adaptive"}, connect_timeout=5, read_timeout=30)
        return session.client("lambda", endpoint_url=place.endpoint_url, config=retries, **substitutes)
    except NoRegionError:
        raise UnreachableError(NO_REGION) from None
    except BotoCoreError as error:
        raise UnreachableError(str(error)) from error


def _session(region: str | None, profile: str | None) -> Any:
    """Create a session. AWS_REGION counts, too, as it does in AWS's other SDKs and in Lambda."""
    import boto3

    session = boto3.Session(profile_name=profile, region_name=region)
    other = os.environ.get("AWS_REGION")
    if session.region_name or not other:
        return session
    return boto3.Session(profile_name=profile, region_name=other)


def s3_client(region: str | None, profile: str | None) -> Any:
    """Create an S3 client, which reads replay traces.

    Raises:
        UnreachableError: Credentials, region or profile are missing.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, NoRegionError

    try:
        session = _session(region, profile)
        if session.get_credentials() is None:
            raise UnreachableError(NO_CREDENTIALS)
        retries = Config(retries={"max_attempts": 3, "mode": "standard"}, connect_timeout=5, read_timeout=30)
        return session.client("s3", config=retries)
    except NoRegionError:
        raise UnreachableError(NO_REGION) from None
    except BotoCoreError as error:
        raise UnreachableError(str(error)) from error


def explain(error: Exception, operation: str) -> NoReturn:
    """Convert an error of boto3 to one that says what to do; raise any other error unchanged.

    Raises:
        UnreachableError: The service refused the request or did not answer.
    """
    from botocore import __version__
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    if isinstance(error, ClientError):
        operation = error.operation_name or operation
        found = error.response.get("Error", {})
        code, message = found.get("Code", ""), found.get("Message", "")
        if code in DENIED:
            action = IAM_ACTIONS.get(operation, f"lambda:{operation}")
            raise UnreachableError(f"access denied: grant {action} ({code}: {message})") from error
        raise UnreachableError(f"AWS refused {operation}: {code}: {message}") from error
    if isinstance(error, ParamValidationError):
        raise UnreachableError(
            f"botocore {__version__} does not take the request {operation}: it may be too old. "
            "Update it: pip install --upgrade 'durable-execution-sdk[debugger]'"
        ) from error
    if isinstance(error, BotoCoreError):
        raise UnreachableError(f"AWS did not answer: {error}") from error
    if is_unreadable_answer(error):
        raise unreadable_answer(error) from error
    raise error


def explained(error: Exception, operation: str = "") -> str:
    """Return what to do about an error of boto3; raise any other error unchanged."""
    try:
        explain(error, operation)
    except DurableError as found:
        return str(found)


def explain_s3(error: Exception, bucket: str, action: str) -> NoReturn:
    """Convert an error of boto3's S3 client to one that says what to do; raise any other error unchanged.

    Raises:
        UnreachableError: S3 refused the request or did not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("AccessDenied", "403"):
            raise UnreachableError(f"access denied to s3://{bucket}: grant {action} ({error})") from error
        if code == "NoSuchBucket":
            raise UnreachableError(f"there is no bucket {bucket}; check the name and the region") from error
        raise UnreachableError(f"S3 refused to read s3://{bucket}: {error}") from error
    if isinstance(error, BotoCoreError):
        raise UnreachableError(f"S3 did not answer: {error}") from error
    raise error


def is_absent(error: Exception) -> bool:
    """Whether an error says that the execution does not exist."""
    response = getattr(error, "response", None)
    return isinstance(response, dict) and response.get("Error", {}).get("Code") in ABSENT
