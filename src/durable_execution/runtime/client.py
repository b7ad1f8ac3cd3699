"""Calls the service through boto3, which is imported with the first call. No other module of the runtime imports it.

Notes of unsent updates that outlive the process.

The start of a step is sent together with its result, to save a call. If the step ends the process, the start would never be
sent. The host of the process, such as `durable-debug serve`, therefore passes it an open file, and sends the updates noted in
the file after the process has ended.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from durable_execution.errors import ServiceError
from durable_execution.protocol import Wire
from durable_execution.runtime.service import CheckpointAnswer, StatePage

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

T = TypeVar("T")


class Boto3ServiceClient:
    """Calls the Lambda API in a separate thread, so that the event loop keeps running.

    Args:
        client: A boto3 Lambda client. By default one is created from the environment with the first call.
    """

    def __init__(self, client: LambdaClient | None = None) -> None:
        self._client: Any = client
        self._thread: ThreadPoolExecutor | None = None

    @property
    def note_unsent(self) -> Callable[[str, Wire], None] | None:
        """Keeps an update for the host of this process; see `ServiceClient`. None when the host does not collect notes."""
        return notes()

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Send updates; see `ServiceClient`."""
        answer = await self._call(
            lambda client: client.checkpoint_durable_execution(
                DurableExecutionArn=execution_arn, CheckpointToken=token, Updates=updates
            )
        )
        state = answer.get("NewExecutionState") or {}
        return CheckpointAnswer(
            answer.get("CheckpointToken") or None, state.get("Operations") or [], state.get("NextMarker") or None
        )

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Read a page of operations; see `ServiceClient`."""
        answer = await self._call(
            lambda client: client.get_durable_execution_state(
                DurableExecutionArn=execution_arn, CheckpointToken=token, Marker=marker, MaxItems=1000
            )
        )
        return StatePage(answer.get("Operations") or [], answer.get("NextMarker") or None)

    async def _call(self, call: Callable[[Any], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="durable-service")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, call)

    def _run(self, call: Callable[[Any], T]) -> T:
        from botocore.exceptions import BotoCoreError, ClientError

        if self._client is None:
            self._client = _make_client()
        try:
            return call(self._client)
        except ClientError as error:
            raise _as_service_error(error) from error
        except BotoCoreError as error:
            raise ServiceError(type(error).__name__, str(error), status=_status_of(error)) from error


def _make_client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("lambda", config=Config(connect_timeout=5, read_timeout=50, retries={"mode": "standard"}))


def _as_service_error(error: Any) -> ServiceError:
    details = error.response.get("Error") or {}
    metadata = error.response.get("ResponseMetadata") or {}
    code = details.get("Code") or type(error).__name__
    message = details.get("Message") or str(error)
    return ServiceError(code, message, status=metadata.get("HTTPStatusCode"))


def _status_of(error: Exception) -> int | None:
    """400 for an error that a retry cannot fix (parameters, credentials, region); None when the network did not answer."""
    from botocore import exceptions

    hopeless = (
        exceptions.ParamValidationError,
        exceptions.NoCredentialsError,
        exceptions.NoRegionError,
        exceptions.PartialCredentialsError,
    )
    return 400 if isinstance(error, hopeless) else None


_descriptor: int | None = None


def keep_notes_in(descriptor: int) -> None:
    """Write notes to an open file, starting with the next invocation."""
    global _descriptor  # noqa: PLW0603  # one file for the whole process
    _descriptor = descriptor


def notes() -> Callable[[str, Wire], None] | None:
    """A function that notes one update, given the token to send it with; None when the host has not passed a file."""
    return _Notes(_descriptor).add if _descriptor is not None else None


def read_notes(text: str) -> tuple[str, list[Wire]] | None:
    """The token and the updates that were noted last; None when there are none.

    Args:
        text: Content of the file. Its last line may be truncated.
    """
    last, updates = "", list[Wire]()
    for line in text.split("\n")[:-1]:
        token, update = json.loads(line)
        if token != last:
            last, updates = token, []
        updates.append(update)
    return (last, updates) if updates else None


class _Notes:
    """The notes of one invocation. Updates noted with an earlier token have been sent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._token: str | None = None

    def add(self, token: str, update: Wire) -> None:
        if token != self._token:
            self._token = token
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, f"{json.dumps([token, update])}\n".encode())
