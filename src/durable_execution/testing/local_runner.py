"""Runs durable functions in this process, in memory, without waiting for time to pass."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self

from durable_execution.clock import SystemClock
from durable_execution.errors import ServiceError
from durable_execution.local import EngineLimits, LocalEngine, RealClock, SkippingClock
from durable_execution.local.async_engine import function_name
from durable_execution.local.hosts import DurableTarget, durable_target, host_of
from durable_execution.local.id_source import IdSource
from durable_execution.observers import Observer
from durable_execution.protocol import ExecutionStatus
from durable_execution.runtime.state import BodyOrder
from durable_execution.testing.calls import ServiceCalls
from durable_execution.testing.faults import Fault, Faults, FaultyHost, Stubs, UpdateRule
from durable_execution.testing.problems import RunnerError
from durable_execution.testing.run_result import RunResult
from durable_execution.testing.runner import Execution, Runner

DEFAULT_TIMEOUT = timedelta(seconds=30)
THROTTLED = ServiceError("TooManyRequestsException", "Rate exceeded", status=429)


class LocalExecution(Execution):
    """An execution on a `LocalRunner`. It runs only inside calls of the methods below."""

    def __init__(self, arn: str, calls: ServiceCalls, timeout: timedelta, engine: LocalEngine) -> None:
        super().__init__(arn, calls, timeout)
        self._engine = engine

    def until_waiting(self, *, timeout: timedelta | None = None) -> RunResult:
        """Run the execution until it has ended or waits, without letting time pass.

        Raises:
            RunnerError: The handler runs for longer than `timeout`.
        """
        if not self._engine.clock.is_skipping:
            return super().until_waiting(timeout=timeout)
        self._drive(lambda: False, timeout or self._timeout, skips="nothing")
        return self.report()

    def advance(self, duration: timedelta) -> RunResult:
        """Let time pass, and run what becomes due: waits, retries, time-outs of callbacks."""
        self._engine.advance(duration)
        return self.report()

    def until(self, condition: Callable[[], bool], *, timeout: timedelta | None = None) -> RunResult:
        """Run the execution until a condition is true, letting time pass, or until nothing is left that could change it.

        Args:
            condition: Called between invocations.
            timeout: How long to wait, in real time.

        Raises:
            RunnerError: The handler runs for longer than `timeout`.
        """
        self._run_until(lambda: self._has_ended() or condition(), timeout or self._timeout)
        return self.report()

    def _run_until(self, is_done: Callable[[], bool], timeout: timedelta) -> None:
        self._drive(is_done, timeout, skips="everything")

    def _drive(self, is_done: Callable[[], bool], timeout: timedelta, *, skips: Any) -> None:
        clock = SystemClock()
        end = clock.monotonic() + timeout.total_seconds()

        def check() -> bool:
            if is_done() or self.status is ExecutionStatus.PAUSED:  # do not skip time while the execution is paused
                return True
            if clock.monotonic() > end:
                if not self._engine.clock.is_skipping:
                    return True
                raise RunnerError(
                    f"the handler has been running for {timeout.total_seconds():g} seconds of real time. It is waiting for "
                    "something other than a durable operation, or looping. Pass a longer timeout= if it needs more time.\n"
                    f"{self.report().describe()}"
                )
            return False

        self._engine.run_until(check, skips=skips)


class LocalRunner(Runner[LocalExecution]):
    """Runs executions of a handler in this process, in memory. Time skips waits and retry delays.

    Example:
        ```python
        with LocalRunner(process_order) as runner:
            result = runner.run({"order_id": "A-17"})
        assert result.status is ExecutionStatus.SUCCEEDED
        ```

    Args:
        handler: A handler decorated with `@durable_execution`, with or without further decorators around it.
        functions: Functions that the handler invokes, by name: handlers, or any callable
            `(event, lambda_context) -> result`.
        stubs: Functions to run in place of step bodies, by the name of the step: `{"charge": Mock(return_value="pay_1")}`.
            Each is called like the body it replaces.
        time: `skip` jumps over waits and retry delays; `real` waits for them.
        name: Name of the Lambda function; by default the name of the Python function.
        timeout: How long a test waits for an execution, in real time.
        now: Start of the simulated time with `time="skip"`; by default the current time.
        observers: Observers of every invocation; see `Observer`.
        limits: Sizes, quotas and time-outs of the service.
        checkpoint_delay: How long each checkpoint call takes, in real time. With it, updates of concurrent branches share
            calls as they do on AWS.
        ids: Source of the ids of executions and callbacks.
        body_order: Called for each invocation: returns what decides when the bodies of steps begin and end.

    Attributes:
        engine: The `LocalEngine` that runs the executions, for operations that the runner has no method for.
        executions: The executions started on this runner, in order.
    """

    def __init__(
        self,
        handler: DurableTarget | Callable[..., Any],
        *,
        functions: Mapping[str, Any] | None = None,
        stubs: Stubs | None = None,
        time: Literal["skip", "real"] = "skip",
        name: str | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        now: datetime | None = None,
        observers: Iterable[Observer] = (),
        limits: EngineLimits | None = None,
        checkpoint_delay: timedelta = timedelta(),
        ids: IdSource | None = None,
        body_order: Callable[[], BodyOrder] | None = None,
    ) -> None:
        if durable_target(handler) is None:
            raise RunnerError(
                f"{handler!r:.80} is not a durable handler. Decorate its function with @durable_execution; a decorator "
                "around that one must use functools.wraps"
            )
        clock = SkippingClock(now) if time == "skip" else RealClock()
        self.engine = LocalEngine(None, clock=clock, limits=limits, ids=ids)
        super().__init__(ServiceCalls(self.engine.client), timeout)
        self._function = name or function_name(handler)
        self._faults = Faults()
        self.executions: list[LocalExecution] = []
        for other, target in (functions or {}).items():
            self.register(other, target)
        host, _ = host_of(self._function, handler)
        faulty = FaultyHost(
            host, self._faults, observers, stubs, body_order=body_order, checkpoint_delay=checkpoint_delay
        )
        self.engine.register(self._function, faulty, durable=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None:
            self.assert_faults_happened()

    def start(self, payload: Any = None, *, name: str | None = None) -> LocalExecution:
        """Start an execution. It runs only inside calls of its methods; see `LocalExecution`."""
        arn = self.engine.start(self._function, payload, name=name)
        self.executions.append(LocalExecution(arn, self.calls, self.timeout, self.engine))
        return self.executions[-1]

    def register(self, name: str, target: Any, **options: Any) -> None:
        """Register a function for `ctx.invoke`.

        Args:
            name: Name of the function.
            target: A handler, or any callable `(event, lambda_context) -> result`.
            options: Options of `LocalEngine.register`, such as `execution_timeout` or `tenant_isolated`.
        """
        self.engine.register(name, target, **options)

    def now(self) -> datetime:
        """The current simulated time."""
        return self.engine.clock.now()

    def crash(
        self, *, at: int | None = None, when: UpdateRule | None = None, stored: bool = False, times: int = 1
    ) -> None:
        """Crash the process at a checkpoint. The service then invokes the handler again.

        Args:
            at: Number of the checkpoint in its execution, from 1, counted over all invocations.
            when: Rule that selects the checkpoint, for example `update_of("charge", action="SUCCEED")`.
            stored: Whether the process crashes after the service has stored the updates, instead of before.
            times: Maximum number of crashes, in all executions of this runner.
        """
        self._faults.add(Fault(at, when, None, stored, times))

    def fail_checkpoint(
        self,
        error: ServiceError = THROTTLED,
        *,
        at: int | None = None,
        when: UpdateRule | None = None,
        stored: bool = False,
        times: int = 1,
    ) -> None:
        """Make the service refuse a checkpoint.

        Args:
            error: The service's answer; by default a throttling error, after which Lambda retries the invocation.
            at: Number of the checkpoint in its execution, from 1, counted over all invocations.
            when: Rule that selects the checkpoint, for example `update_of("charge", action="SUCCEED")`.
            stored: Whether the service stores the updates anyway, as when its answer is lost.
            times: Maximum number of refusals, in all executions of this runner.
        """
        self._faults.add(Fault(at, when, error, stored, times))

    def assert_faults_happened(self) -> None:
        """Check that every requested crash and error has occurred. Leaving a `with` block does this check.

        Raises:
            AssertionError: One has not occurred, so the test did not test what it claims.
        """
        __tracebackhide__ = True
        pending = self._faults.pending()
        if pending:
            raise AssertionError("these faults never occurred: " + "; ".join(pending))

    def close(self) -> None:
        """Close the engine. Executions that have not ended are discarded."""
        self.engine.close(wait=timedelta(seconds=1))
