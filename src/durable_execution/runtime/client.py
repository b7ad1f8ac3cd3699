"""The durable execution service on AWS: through a client of yours, or through the SDK's own transport.

The module also keeps notes of unsent updates that outlive the process. The start of a step is sent together with its result, to
save a call. If the step ends the process, the start would never be sent. The host of the process, such as `durable-debug serve`,
therefore passes it an open file, and sends the updates noted in the file after the process has ended.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from durable_execution.errors import ConfigurationError, ServiceError
from durable_execution.protocol import Wire
from durable_execution.runtime.answers import checkpoint_answer, state_page
from durable_execution.runtime.body_threads import Workers
from durable_execution.runtime.endpoint import (
    endpoint_of,
    made,
    make_client,
    missing_boto3,
)
from durable_execution.runtime.service import CheckpointAnswer, StatePage
from durable_execution.runtime.transport import (
    MAX_ITEMS,
    Remaining,
    Transport,
    check_time,
)

if TYPE_CHECKING:
    from durable_execution.runtime.service import LambdaApi


_threads = Workers(8, name="durable-service")
_lock = threading.Lock()

LOWEST_BOTO3 = "1.42.5"
"""The lowest version that this package requires."""

UNREADABLE = "botocore cannot read its configuration"
WHERE_IT_IS = "Check the environment variables that start with AWS_, and the profile with its credential_process"


class Calls(Protocol):
    """The two calls, made on the calling thread."""

    def checkpoint(self, arn: str, token: str, updates: list[Wire], remaining: Remaining | None) -> CheckpointAnswer:
        """Send updates; see `ServiceClient.checkpoint`."""
        ...

    def get_state(self, arn: str, token: str, marker: str, remaining: Remaining | None) -> StatePage:
        """Read a page of operations; see `ServiceClient.get_state`."""
        ...


class LambdaService:
    """Calls the Lambda API.

    Args:
        client: A boto3 Lambda client, which is used as it is, with its hooks. By default the SDK signs and sends the calls
            itself, configured from the environment as boto3 is.
        remaining: Returns the seconds that are left of the invocation; see `within`.
    """

    def __init__(self, client: LambdaApi | None = None, *, remaining: Remaining | None = None) -> None:
        self._client = client
        self._calls: Calls | None = None
        self._remaining = remaining

    def within(self, remaining: Remaining | None) -> LambdaService:
        """This service for one invocation: no call is started or repeated past the end of the invocation.

        Raises:
            ConfigurationError: boto3 cannot be imported, or the client is too old.
            ServiceError: The configuration is incomplete.
        """
        bound = LambdaService(remaining=remaining)
        bound._calls = self.prepare()
        return bound

    def prepare(self) -> Calls:
        """Resolve credentials, region and endpoint, once. Later calls need no configuration."""
        if self._calls is None:
            with _lock:
                if self._calls is None:
                    self._calls = ClientCalls(self._client) if self._client is not None else _environment_calls()
        return self._calls

    @property
    def note_unsent(self) -> Callable[[str, Wire], None] | None:
        """Keeps an update for the host of this process; see `ServiceClient`. None when the host does not collect notes."""
        return notebook.writer()

    def checkpoint_now(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Send updates on the calling thread; see `ServiceClient`."""
        return self.prepare().checkpoint(execution_arn, token, updates, self._remaining)

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Send updates from a separate thread, so that the event loop keeps running; see `ServiceClient`."""
        return await _threads.run(lambda: self.checkpoint_now(execution_arn, token, updates))

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Read a page of operations from a separate thread; see `ServiceClient`."""
        return await _threads.run(lambda: self.prepare().get_state(execution_arn, token, marker, self._remaining))


@cache
def environment_service() -> LambdaService:
    """The service that the environment configures, shared by the handlers of this process."""
    return LambdaService()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=environment_service.cache_clear
    )  # a fork must not share its parent's connections


class ClientCalls:
    """The two calls through a boto3 client.

    Raises:
        ConfigurationError: The client is older than the durable operations.
    """

    def __init__(self, client: Any) -> None:
        if not hasattr(client, "checkpoint_durable_execution"):
            raise unknown_operations()
        self._client = client

    def checkpoint(self, arn: str, token: str, updates: list[Wire], remaining: Remaining | None) -> CheckpointAnswer:
        """Send updates; see `ServiceClient.checkpoint`."""
        check_time(remaining)
        call = self._client.checkpoint_durable_execution
        return checkpoint_answer(made(lambda: call(DurableExecutionArn=arn, CheckpointToken=token, Updates=updates)))

    def get_state(self, arn: str, token: str, marker: str, remaining: Remaining | None) -> StatePage:
        """Read a page of operations; see `ServiceClient.get_state`."""
        check_time(remaining)
        call = self._client.get_durable_execution_state
        options = {"DurableExecutionArn": arn, "CheckpointToken": token, "Marker": marker, "MaxItems": MAX_ITEMS}
        return state_page(made(lambda: call(**options)))


def _environment_calls() -> Calls:
    def resolve() -> Calls:
        endpoint = endpoint_of(make_client(has_operations=False))
        return Transport(endpoint) if endpoint is not None else ClientCalls(make_client())

    try:
        return made(resolve)
    except ImportError as error:  # of botocore, or of what it needs
        raise missing_boto3(error) from error
    except (ConfigurationError, ServiceError):
        raise
    except ValueError as error:
        raise ConfigurationError(f"{UNREADABLE}: {error}. {WHERE_IT_IS}") from error
    except OSError as error:  # of a program or a file that may be there for the next invocation
        raise ServiceError(type(error).__name__, f"{UNREADABLE}: {error}. {WHERE_IT_IS}") from error


def unknown_operations() -> ConfigurationError:
    """The error for a boto3 that is older than the durable operations."""
    from botocore import __version__

    return ConfigurationError(
        f"this boto3 client does not know the durable operations: it is of botocore {__version__}. Add boto3 {LOWEST_BOTO3} or "
        "later to the deployment package, or leave client= out"
    )


class Notebook:
    """The file in which a process notes its updates, if its host has passed one."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def keep_in(self, descriptor: int) -> None:
        """Write notes to an open file, starting with the next invocation."""
        self._descriptor = descriptor

    def writer(self) -> Callable[[str, Wire], None] | None:
        """A function that notes one update, given the token to send it with; None when the host has not passed a file."""
        return _Notes(self._descriptor).add if self._descriptor is not None else None


notebook = Notebook()
"""The notebook of this process."""


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
