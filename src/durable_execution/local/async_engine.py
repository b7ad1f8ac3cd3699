"""Other ways into the local engine: awaited, for code on an event loop such as a web service, and with a single call."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from durable_execution.clock import SystemClock
from durable_execution.errors import EngineError
from durable_execution.local.engine import DEFAULT_STORE, LocalEngine
from durable_execution.local.results import ExecutionResult
from durable_execution.protocol import ErrorObject
from durable_execution.retry import check_optional_duration

T = TypeVar("T")
SHORTEST_PAUSE = 0.01
LONGEST_PAUSE = 0.25


class AsyncLocalEngine:
    """A `LocalEngine` whose methods are coroutines. Executions run on threads of the engine, beside the event loop.

    Example:
        ```python
        async with AsyncLocalEngine(".durable/executions.db") as engine:
            engine.register("process-order", process_order)
            arn = await engine.start("process-order", {"order_id": "A-17"}, name="order-A-17")
            result = await engine.wait(arn)
        ```

    Args:
        store: File of the executions; None for memory.
        time: `real`, or `skip` to jump over waits and retry delays.
        options: Further options of `LocalEngine`.

    Attributes:
        engine: The engine, for operations without a coroutine here.
    """

    def __init__(
        self, store: str | Path | None = DEFAULT_STORE, *, time: Literal["real", "skip"] = "real", **options: Any
    ) -> None:
        self.engine = LocalEngine(store, time=time, **options)

    async def __aenter__(self) -> Self:
        self.engine.drive()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def register(self, name: str, target: Any, **options: Any) -> None:
        """Register a function; see `LocalEngine.register`."""
        self.engine.register(name, target, **options)

    async def start(self, function: str, payload: Any = None, *, name: str | None = None, **options: Any) -> str:
        """Start an execution and return its ARN at once; see `LocalEngine.start`."""
        return await asyncio.to_thread(self.engine.start, function, payload, name=name, **options)

    async def run(self, function: str, payload: Any = None, *, name: str | None = None) -> ExecutionResult:
        """Start an execution and wait until it ends."""
        return await self.wait(await self.start(function, payload, name=name))

    async def result(self, arn: str) -> ExecutionResult | None:
        """The result of an execution; None while it is unfinished."""
        return await asyncio.to_thread(self.engine.result, arn)

    async def wait(self, arn: str, *, timeout: timedelta | None = None) -> ExecutionResult:  # noqa: ASYNC109  # as in LocalEngine
        """Wait until an execution ends. Waiting occupies no thread, so thousands of requests can wait.

        Args:
            arn: The execution's ARN.
            timeout: How long to wait, in real time; None waits forever.

        Raises:
            EngineError: The execution does not end in that time, or does not exist.
        """
        return await self._until(lambda: self.engine.result(arn), timeout, f"execution {arn} has not ended")

    async def callback_id(
        self,
        arn: str,
        name: str | None = None,
        *,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # as in LocalEngine
    ) -> str:
        """Wait until an execution waits for a callback, and return the callback's id.

        Args:
            arn: The execution's ARN.
            name: The callback's name; None for the first open callback.
            timeout: How long to wait, in real time; None waits forever.

        Raises:
            EngineError: The execution does not wait for the callback in that time.
        """
        return await self._until(
            lambda: self.engine.open_callback_id(arn, name), timeout, f"execution {arn} does not wait for {name}"
        )

    async def succeed_callback(self, callback_id: str, result: Any = None) -> None:
        """Complete a callback with a result, which is written as JSON."""
        body = {} if result is None else {"Result": json.dumps(result).encode()}
        send = self.engine.client.send_durable_execution_callback_success
        await asyncio.to_thread(send, CallbackId=callback_id, **body)

    async def fail_callback(self, callback_id: str, message: str, *, type: str = "CallbackError") -> None:  # noqa: A002  # the protocol's word
        """Complete a callback with an error."""
        send = self.engine.client.send_durable_execution_callback_failure
        await asyncio.to_thread(send, CallbackId=callback_id, Error=ErrorObject(message, type).to_wire())

    async def resume(self) -> list[str]:
        """Continue every unfinished execution of a registered function, after a restart. Returns their ARNs."""
        return await asyncio.to_thread(self.engine.resume)

    async def close(self, *, wait: timedelta = timedelta(seconds=5)) -> None:
        """Close the store. Unfinished executions can be resumed."""
        await asyncio.to_thread(self.engine.close, wait=wait)

    async def _until(self, look: Callable[[], T | None], limit: timedelta | None, problem: str) -> T:
        check_optional_duration("timeout", limit)
        clock = SystemClock()
        end = None if limit is None else clock.monotonic() + limit.total_seconds()
        pause = SHORTEST_PAUSE
        while True:
            found = await asyncio.to_thread(look)
            if found is not None:
                return found
            if end is not None and clock.monotonic() >= end:
                raise EngineError(f"{problem} after {limit}. Pass a longer timeout=, or look at it with durable-debug.")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def run(
    handler: Callable[..., Any],
    payload: Any = None,
    *,
    name: str | None = None,
    functions: Mapping[str, Any] | None = None,
    store: str | Path | None = DEFAULT_STORE,
    time: Literal["real", "skip"] = "real",
    timeout: timedelta | None = None,
) -> ExecutionResult:
    """Run a workflow on the local engine and wait until it ends.

    Ctrl+C interrupts it. To continue where it stopped, run it again with the same name and payload.

    Args:
        handler: A handler decorated with `@durable_execution`. It is registered under the name of its function.
        payload: A value that can be serialized as JSON.
        name: Execution name.
        functions: Other functions that the workflow invokes, by name.
        store: File that keeps the execution; None for memory.
        time: `real`, or `skip` to jump over waits and retry delays.
        timeout: Maximum duration of the execution.

    Returns:
        The result of the execution.
    """
    function = function_name(handler)
    with LocalEngine(store, time=time) as engine:
        for other, target in (functions or {}).items():
            engine.register(other, target)
        engine.register(function, handler)
        return engine.run(function, payload, name=name, timeout=timeout)


def function_name(handler: Any) -> str:
    """The default name of a handler: the name of its Python function."""
    name = getattr(handler, "__name__", None) or type(handler).__name__
    return re.sub(r"[^a-zA-Z0-9_-]", "-", str(name))[:64]
