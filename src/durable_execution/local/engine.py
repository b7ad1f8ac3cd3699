"""The local engine: the durable execution service in this process, over an SQLite file."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from durable_execution.errors import EngineError
from durable_execution.local.backend import Backend
from durable_execution.local.callbacks import Callbacks
from durable_execution.local.checkpoints import Checkpoints
from durable_execution.local.client import LocalLambdaClient, dated
from durable_execution.local.clocks import EngineClock, RealClock, SkippingClock, millis
from durable_execution.local.control import Control
from durable_execution.local.functions import LATEST, Function, Functions, Target
from durable_execution.local.hosts import DurableTarget, FunctionHost, host_of
from durable_execution.local.identity import IdSource, RandomIds
from durable_execution.local.invocations import Assignment, Invocations
from durable_execution.local.invoking import Invoking, encode_payload
from durable_execution.local.leases import Lease
from durable_execution.local.lifecycle import Start
from durable_execution.local.limits import EngineLimits
from durable_execution.local.outcomes import ExecutionResult, Outcomes
from durable_execution.local.queries import Queries
from durable_execution.local.recovery import Recovery
from durable_execution.local.rows import ExecutionRow
from durable_execution.local.scheduler import Scheduler, Skips
from durable_execution.local.service_client import LocalServiceClient
from durable_execution.local.spans import Spans
from durable_execution.local.store import MEMORY, Store
from durable_execution.local.traces import Traces
from durable_execution.observers import Observer
from durable_execution.protocol import Wire

if TYPE_CHECKING:
    from durable_execution.recording import TraceSink

DEFAULT_STORE = ".durable/executions.db"
DEFAULT_CONCURRENCY = 16


class LocalEngine:
    """Runs durable functions on this computer, with everything the service does.

    Checkpoints, timers, retries, callbacks, chained invokes, history, pause and resume, idempotent starts, quotas. What is acknowledged is on disk: a process that is killed at any moment loses nothing, and `resume` continues.

    Example:
        ```python
        with LocalEngine(time="skip", store=None) as engine:
            engine.register("orders", process_order)
            result = engine.run("orders", {"order_id": "7", "amount": 9.5})
        ```

    Args:
        store: File to keep executions in; None or `:memory:` for memory. Missing directories are created.
        time: `real`, or `skip` to jump over waits and retry delays.
        clock: A clock instead of the one `time` stands for.
        limits: Sizes, quotas and time-outs.
        ids: Where ids come from.
        trace_sink: Where replay traces go: a sink, a directory, `False` for nowhere, or None for `traces/` beside the store
            (nowhere when the store is in memory, or where `DURABLE_REPLAY_TRACE` says). Spans are kept in `spans/` beside
            the store, unless this is `False`.
        max_concurrency: Invocations at the same time; 1 with a skipping clock, so that runs repeat exactly.
        create: Whether to create a store file that does not exist.

    Attributes:
        client: The engine with the methods of `boto3.client("lambda")`.

    Raises:
        EngineError: The store cannot be used.
    """

    def __init__(
        self,
        store: str | Path | None = DEFAULT_STORE,
        *,
        time: Literal["real", "skip"] = "real",
        clock: EngineClock | None = None,
        limits: EngineLimits | None = None,
        ids: IdSource | None = None,
        trace_sink: "TraceSink | str | Path | Literal[False] | None" = None,
        max_concurrency: int | None = None,
        create: bool = True,
    ) -> None:
        clock = clock or (SkippingClock() if time == "skip" else RealClock())
        ids = ids or RandomIds()
        self._store = Store(MEMORY if store is None else store, create=create)
        self._functions = Functions()
        self._limits = limits or EngineLimits()
        self._backend = Backend(self._store, clock, ids, self._limits, self._functions, owner=ids.new())
        self._lease = Lease(self._store.path, self._backend.owner)
        self._traces = Traces(self._store.path, trace_sink)
        self._spans = Spans(self._store.path, is_wanted=trace_sink is not False)
        self._checkpoints = Checkpoints(self._backend)
        self._callbacks = Callbacks(self._backend)
        self._control = Control(self._backend)
        self._queries = Queries(self._backend)
        self._outcomes = Outcomes(self._store)
        self._invocations = Invocations(self._backend)
        concurrency = max_concurrency or (1 if clock.is_skipping else DEFAULT_CONCURRENCY)
        self._scheduler = Scheduler(
            self._backend, self._invocations, LocalServiceClient(self._checkpoints), self.observers_for, concurrency
        )
        self._recovery = Recovery(self._backend, self._invocations, self._lease)
        self._invoking = Invoking(self._backend, self._control, self._scheduler, self._recovery)
        self.client = LocalLambdaClient(
            self._checkpoints, self._callbacks, self._control, self._queries, self._invoking
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(wait=timedelta(seconds=5) if kind is None else timedelta(0))

    @property
    def store_path(self) -> Path | None:
        """The store's file; None when it is in memory."""
        return self._store.path

    @property
    def clock(self) -> EngineClock:
        """The engine's clock."""
        return self._backend.clock

    def register(
        self,
        name: str,
        target: DurableTarget | FunctionHost | Callable[[Any, Any], Any],
        *,
        durable: bool | None = None,
        execution_timeout: timedelta | None = None,
        retention: timedelta | None = None,
        timeout: timedelta | None = None,
        tenant_isolated: bool = False,
    ) -> None:
        """Make a function known under a name.

        Args:
            name: Function name: 1 to 64 letters, digits, `-` and `_`.
            target: A handler made with `@durable_execution`; any callable `(event, lambda_context) -> result`; or an object
                that runs functions elsewhere.
            durable: Whether invocations are durable executions. By default only for handlers made with this SDK.
            execution_timeout: How long an execution may run.
            retention: How long an ended execution is kept.
            timeout: How long one invocation may run.
            tenant_isolated: Whether every invocation needs a tenant id.

        Raises:
            EngineError: The name cannot be a function's, or the target cannot be called.
        """
        host, is_durable = host_of(name, target)
        self._functions.add(
            Function(
                name,
                host,
                is_durable if durable is None else durable,
                execution_timeout,
                retention or self._limits.retention,
                timeout or self._limits.function_timeout,
                tenant_isolated,
            )
        )

    def start(
        self,
        function: str,
        payload: Any = None,
        *,
        name: str | None = None,
        timeout: timedelta | None = None,
        tenant_id: str | None = None,
        trace_header: str | None = None,
    ) -> str:
        """Start an execution and return at once.

        Args:
            function: Name of a registered function.
            payload: Anything that can be written as JSON.
            name: Execution name; starting twice with the same name and payload gives the same execution, also after a crash.
            timeout: How long it may run.
            tenant_id: Tenant.
            trace_header: `XAmznTraceId` to hand to the handler.

        Returns:
            The execution's ARN.

        Raises:
            EngineError: The function is not registered, or the payload cannot be written as JSON.
            ServiceError: The name is taken by an execution with another payload.
        """
        return self._start(function, payload, name, timeout, tenant_id, trace_header).arn

    def run(
        self,
        function: str,
        payload: Any = None,
        *,
        name: str | None = None,
        timeout: timedelta | None = None,
        tenant_id: str | None = None,
    ) -> ExecutionResult:
        """Start an execution and wait for its end. Arguments and errors as for `start`."""
        return self._await(self._start(function, payload, name, timeout, tenant_id, None), None)

    def wait(self, arn: str, *, timeout: timedelta | None = None) -> ExecutionResult:
        """Wait for the end of an execution.

        Args:
            arn: The execution.
            timeout: How long to wait, in real time. With the real clock None waits for ever; with a skipping clock it waits
                until nothing but the outside can move the execution.

        Raises:
            EngineError: It does not end in that time, or is unknown.
        """
        return self._await(self._outcomes.row(arn), timeout)

    def run_until_idle(self, *, skips: Skips = "work", timeout: timedelta | None = None) -> None:
        """Run until no execution goes on by itself: all have ended, or wait for something from outside.

        Args:
            skips: How far a skipping clock may jump.
            timeout: How long to wait, in real time.
        """
        self.run_until(self._scheduler.is_idle, skips=skips, timeout=timeout)

    def run_until(
        self, is_done: Callable[[], bool], *, skips: Skips = "everything", timeout: timedelta | None = None
    ) -> bool:
        """Run until something is the case.

        Args:
            is_done: Tells whether it is. Asked after every change, and at least every second while a handler runs.
            skips: How far a skipping clock may jump.
            timeout: How long to wait for the outside, in real time. With a skipping clock None does not wait for it.

        Returns:
            Whether it is the case; False when nothing is left that could bring it about, or the time is over.
        """
        seconds = None if timeout is None else timeout / timedelta(seconds=1)
        return self._scheduler.run_until(is_done, timeout=seconds, skips=skips)

    def advance(self, duration: timedelta) -> None:
        """With a skipping clock: let so much time pass, and run what becomes due on the way, each at its own time.

        Raises:
            EngineError: The clock is real, so nothing can make time pass.
        """
        clock = self._backend.clock
        if not clock.is_skipping:
            raise EngineError("time cannot be advanced on a real clock: create the engine with time='skip'.")
        end = clock.now() + duration
        self._scheduler.run_until(lambda: False, horizon_ms=millis(end))
        clock.advance_to(end)
        self.run_until_idle(skips="nothing")

    def result(self, arn: str) -> ExecutionResult | None:
        """How an execution ended; None while it has not.

        Raises:
            EngineError: It is unknown.
        """
        return self._outcomes.result(self._outcomes.row(arn).key)

    def wait_for_callback_id(self, arn: str, name: str | None = None, *, timeout: timedelta | None = None) -> str:
        """Wait until an execution waits for a callback.

        Args:
            arn: The execution.
            name: The callback's name; None for the first one that is open. The name of a `wait_for_callback` finds the
                callback in it.
            timeout: How long to wait, in real time.

        Returns:
            The id to complete it with, see `client.send_durable_execution_callback_success`.

        Raises:
            EngineError: The execution ends, or has nothing left to do, without such a callback.
        """
        key, outcomes = self._outcomes.row(arn).key, self._outcomes
        self.run_until(
            lambda: outcomes.callback_id(key, name) is not None or outcomes.is_over(key), skips="work", timeout=timeout
        )
        found = outcomes.callback_id(key, name)
        if found is None:
            raise outcomes.no_callback(arn, name)
        return found

    def executions(
        self,
        *,
        name: str | None = None,
        statuses: Sequence[str] | None = None,
        oldest_first: bool = False,
        marker: str | None = None,
        max_items: int | None = None,
    ) -> Wire:
        """A page of the durable executions of all functions, as ListDurableExecutionsByFunction shows those of one.

        Args:
            name: Only executions with this name.
            statuses: Only executions in one of these.
            oldest_first: Order; by default the newest comes first.
            marker: `NextMarker` of the page before.
            max_items: Executions of a page at most.
        """
        page = self._queries.executions(
            None, name=name, statuses=statuses, oldest_first=oldest_first, marker=marker, max_items=max_items
        )
        return {**page, "DurableExecutions": [dated(found) for found in page["DurableExecutions"]]}

    def drive(self) -> None:
        """Have a thread of the engine run executions from here on, also while nobody waits for one.

        With the real clock that happens by itself. With a skipping clock, waits and retries are jumped over; while only the
        outside can move executions, time passes as it does.
        """
        self._scheduler.drive()

    def resume(self) -> list[str]:
        """Continue every unfinished execution of a registered function that no living engine runs.

        Returns:
            Their ARNs.
        """
        self._scheduler.require_open()
        adopted = self._recovery.adopt_all()
        self._control.remove_expired()
        if adopted and not self._backend.clock.is_skipping:
            self._scheduler.drive()
        return adopted

    def close(self, *, wait: timedelta = timedelta(seconds=5)) -> None:
        """Begin nothing more and let go of the store. Executions that have not ended can be resumed.

        Args:
            wait: How long to wait for invocations that run.
        """
        if self._scheduler.is_closed:
            return
        self._scheduler.close(wait=wait / timedelta(seconds=1))
        self._functions.close()
        self._lease.release()
        self._store.close()

    def observers_for(self, assignment: Assignment) -> Sequence[Observer]:
        """Who listens to an invocation in this process; override it to add observers.

        Args:
            assignment: The invocation.
        """
        del assignment
        return (*self._traces.observers(), *self._spans.observers())

    def _start(
        self,
        function: str,
        payload: Any,
        name: str | None,
        timeout: timedelta | None,
        tenant_id: str | None,
        trace_header: str | None,
    ) -> ExecutionRow:
        start = Start(
            self._functions.require(function),
            Target(function, LATEST),
            encode_payload(payload),
            name=name,
            timeout=timeout,
            tenant_id=tenant_id,
            trace_header=trace_header,
        )
        return self._invoking.start(start)

    def _await(self, row: ExecutionRow, timeout: timedelta | None) -> ExecutionResult:
        self._invoking.wait(row.key, timeout)
        found = self._outcomes.result(row.key)
        if found is None:
            raise self._outcomes.unfinished(row.arn)
        return found
