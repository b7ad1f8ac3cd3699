"""Checkpoint tokens: opaque to clients, valid for one checkpoint of one invocation of one execution."""

from base64 import b64encode

from durable_execution.errors import STALE_TOKEN_PREFIX
from durable_execution.local.rules.api_errors import ApiError, invalid
from durable_execution.local.store.rows import ExecutionRow


def current_token(row: ExecutionRow) -> str:
    """The only valid token of the execution in its current state."""
    return b64encode(f"{row.key}.{row.invocation}.{row.token_sequence}.{row.request_id}".encode()).decode()


def require_current(row: ExecutionRow | None, token: str) -> ExecutionRow:
    """Check a token.

    Raises:
        ServiceError: The token is stale, consumed or of a different execution, or the execution has ended.
    """
    if (
        row is None
        or not row.is_running
        or not row.is_durable
        or row.ending
        or row.status not in ("RUNNING", "PAUSING")
    ):
        raise stale_token()
    if token != current_token(row):
        raise stale_token()
    return row


def stale_token() -> ApiError:
    """Make the error whose text SDKs recognize."""
    return invalid(STALE_TOKEN_PREFIX)
