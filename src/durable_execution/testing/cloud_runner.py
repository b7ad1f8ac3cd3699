"""Runs durable functions where they are deployed, with the interface of the local runner."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from durable_execution.clock import SystemClock
from durable_execution.testing.calls import ServiceCalls
from durable_execution.testing.problems import RunnerError
from durable_execution.testing.runner import Execution, Runner

DEFAULT_TIMEOUT = timedelta(minutes=15)
POLL_INTERVAL = timedelta(seconds=1)


class Patience(Protocol):
    """The clock and the pause between two polls of an execution."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after a number of seconds."""
        ...


class CloudExecution(Execution):
    """An execution of a deployed function. It runs by itself, and a test polls it."""

    def __init__(
        self, arn: str, calls: ServiceCalls, timeout: timedelta, poll_interval: timedelta, patience: Patience
    ) -> None:
        super().__init__(arn, calls, timeout)
        self._poll_interval = poll_interval
        self._patience = patience

    def _run_until(self, is_done: Callable[[], bool], timeout: timedelta) -> None:
        end = self._patience.monotonic() + timeout.total_seconds()
        while not is_done():
            if self._patience.monotonic() >= end:
                raise RunnerError(
                    f"the execution {self.arn} has not reached the expected state in {timeout.total_seconds():g} seconds. Pass "
                    f"a longer timeout= if it needs more time.\n{self.report().describe()}"
                )
            self._patience.sleep(self._poll_interval.total_seconds())


class CloudRunner(Runner[CloudExecution]):
    """Runs executions of a deployed function on AWS Lambda, or on a server with the same API.

    Needs permission for `lambda:InvokeFunction`, `lambda:GetDurableExecution`, `lambda:GetDurableExecutionHistory`, and for the
    other actions that a test uses, such as `lambda:SendDurableExecutionCallback*` or `lambda:StopDurableExecution`.

    Example:
        ```python
        runner = CloudRunner("process-order")
        result = runner.run({"order_id": "A-17"})
        assert result.step("charge").attempt_count == 1
        ```

    Args:
        function_name: Name or ARN of the function.
        qualifier: Version or alias, which a durable function requires.
        client: A boto3 Lambda client; by default one is created from the environment. Use `endpoint_url` to test against
            `durable-debug serve`.
        timeout: How long a test waits for an execution.
        poll_interval: Pause between two polls.
        patience: The clock to use instead of the system's, for tests without waiting.
    """

    def __init__(
        self,
        function_name: str,
        *,
        qualifier: str | None = "$LATEST",
        client: Any = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        poll_interval: timedelta = POLL_INTERVAL,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(ServiceCalls(client if client is not None else _make_client()), timeout)
        self._function_name = function_name
        self._qualifier = qualifier
        self._poll_interval = poll_interval
        self._patience = patience or SystemClock()

    def start(self, payload: Any = None, *, name: str | None = None) -> CloudExecution:
        """Start an execution. It runs by itself.

        Raises:
            ServiceError: The service refuses to start it.
            RunnerError: The function is not durable.
        """
        arn = self.calls.start(self._function_name, self._qualifier, payload, name)
        if arn is None:
            raise RunnerError(
                f"{self._function_name} was invoked, but started no durable execution, because it has no DurableConfig. "
                "Create the function again with a DurableConfig: it cannot be added later"
            )
        return self.execution(arn)

    def execution(self, arn: str) -> CloudExecution:
        """An execution that was not started by this runner, by its ARN."""
        return CloudExecution(arn, self.calls, self.timeout, self._poll_interval, self._patience)


def _make_client() -> Any:
    import boto3

    session = boto3.Session()
    return session.client("lambda", region_name=session.region_name or os.environ.get("AWS_REGION"))
