"""What an error of the Lambda API means for a reader of executions, and what to do about it."""

from typing import Any

CONFLICT = "ResourceConflictException"
ABSENT = "ResourceNotFoundException"
DENIED = (
    "AccessDeniedException",
    "AccessDenied",
    "ExpiredTokenException",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
)


def error_code(error: Exception) -> str | None:
    """Return the API's code of an error of boto3's client or of the local engine's; None for any other error."""
    code = getattr(error, "code", None) or (getattr(error, "response", None) or {}).get("Error", {}).get("Code")
    return code if isinstance(code, str) else None


def reading_problem(error: Exception, operation: str) -> str:
    """Say why one execution could not be read, and what to do.

    Args:
        error: The error of the client, which is quoted.
        operation: The operation of the API, which is also the name of its permission.
    """
    code = error_code(error)
    if code in DENIED:
        return f"access denied: grant lambda:{operation} ({error})"
    if code == ABSENT:
        return f"it does not exist any more: it was deleted, or its retention has ended ({error})"
    if _is_of_service(error):
        return f"the service failed: run the command again ({error})"
    return str(error)


def _is_of_service(error: Any) -> bool:
    """Whether the service could not answer a request that it would accept at a different time."""
    response = getattr(error, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") or getattr(error, "status", None)
    return isinstance(status, int) and (status >= 500 or status == 429)
