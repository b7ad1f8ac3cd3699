"""The API's errors, as the engine raises them."""

from functools import cache
from typing import Any

from durable_execution.errors import ServiceError

STATUS_CODES = {
    "InvalidParameterValueException": 400,
    "CallbackTimeoutException": 400,
    "InvalidRequestContentException": 400,
    "ResourceNotFoundException": 404,
    "ResourceConflictException": 409,
    "DurableExecutionAlreadyStartedException": 409,
    "RequestTooLargeException": 413,
    "TooManyRequestsException": 429,
    "AccessDeniedException": 403,
    "PreconditionFailedException": 412,
    "RequestTimeoutException": 408,
    "ServiceException": 500,
}
CAPITAL_MESSAGE = frozenset(
    {
        "ResourceNotFoundException",
        "CallbackTimeoutException",
        "ServiceException",
        "DurableExecutionAlreadyStartedException",
    }
)
"""Errors whose text is in the member `Message`. All others use `message` (from the service model)."""


class ApiError(ServiceError):
    """A `ServiceError` with the `response` attribute of botocore's `ClientError`, for code written for boto3."""

    @staticmethod
    @cache
    def of(code: str) -> type["ApiError"]:
        """The exception class for an error code. The same code always gives the same class."""
        return type(code, (ApiError,), {"__doc__": f"The API's {code}.", "__module__": __name__})

    @property
    def response(self) -> dict[str, Any]:
        """The response as botocore would parse it."""
        return {
            "Error": {"Code": self.code, "Message": self.message},
            "ResponseMetadata": {"HTTPStatusCode": self.status, "RequestId": "", "HTTPHeaders": {}, "RetryAttempts": 0},
            "Type": "User" if (self.status or 500) < 500 else "Service",
        }


def fault(code: str, message: str) -> ApiError:
    """Make an error of the API."""
    return ApiError.of(code)(code, message, status=STATUS_CODES[code])


def invalid(message: str) -> ApiError:
    """Make the error for an invalid request."""
    return fault("InvalidParameterValueException", message)


def unknown_execution(arn: str) -> ApiError:
    """Make the error for an execution that does not exist."""
    return fault("ResourceNotFoundException", f"Durable execution not found: {arn}")
