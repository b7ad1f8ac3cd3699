"""The local engine: the durable execution service in this process, on a SQLite file."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from inspect import getattr_static
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from durable_execution.errors import EngineError
from durable_execution.history.recorded import RecordedExecution
from durable_execution.local.artifacts import Spans, Traces
from durable_execution.local.clocks import EngineClock, RealClock, SkippingClock, millis
from durable_execution.local.fork_control import UNCHANGED, ForkControl, edit_of
from durable_execution.local.function_registry import LATEST, Function, FunctionProfile, Functions, Target
from durable_execution.local.hosts import DurableTarget, FunctionHost, host_of
from durable_execution.local.id_source import IdSource, RandomIds
from durable_execution.local.invocations import Assignment, Invocations
from durable_execution.local.invoke_api import Invoking, encode_payload
from durable_execution.local.lambda_client import LocalLambdaClient, dated
from durable_execution.local.queries import Queries
from durable_execution.local.recovery import Lease, Recovery
from durable_execution.local.results import ExecutionResult, Outcomes
from durable_execution.local.rules.callbacks import Callbacks
from durable_execution.local.rules.checkpoints import Checkpoints, LocalServiceClient
from durable_execution.local.rules.control import Control
from durable_execution.local.rules.executions import Start
from durable_execution.local.rules.limits import EngineLimits
from durable_execution.local.scheduler import Scheduler, Skips
from durable_execution.local.store.database import MEMORY, Store
from durable_execution.local.store.rows import ExecutionRow
from durable_execution.local.transaction import Backend
from durable_execution.local.versions import Versions, profile_of
from durable_execution.observers import Observer
from durable_execution.protocol import ErrorObject, Wire
from durable_execution.retry import check_duration, check_optional_duration

if TYPE_CHECKING:
    from durable_execution.trace import TraceSink

DEFAULT_STORE = ".durable/executions.db"
DEFAULT_CONCURRENCY = 16


class LocalEngine:
    """Runs durable functions on this computer, with the behavior of the service.

    The engine implements checkpoints, timers, retries, callbacks, chained invokes, history, pause and resume, idempotent
    starts, and quotas. Every acknowledged update is on disk: you can kill the process at any moment and lose nothing;
    `resume` continues the executions.

    Example:
        ```python
        with LocalEngine(time="skip", store=None) as engine:
            engine.register("orders", process_order)
            result = engine.run("orders", {"order_id": "7", "amount": 9.5})
        ```

    Args:
        store: File that keeps the executions; None or `:memory:` for memory. Missing directories are created.
        time: `real`, or `skip` to jump over waits and retry delays.
        clock: A clock to use instead of the one `time` selects.
        limits: Sizes, quotas and time-outs.
        ids: Source of ids.
        trace_sink: Destination of replay traces: a sink, a directory, `False` for none, or None for the default. The default
            is `DURABLE_REPLAY_TRACE` if it is set, then `traces/` beside the store, and no traces for a store in memory.
            The engine keeps spans in `spans/` beside the store, unless this is `False`.
        max_concurrency: Maximum number of concurrent invocations. By default 16, or 1 with a skipping clock, so that runs
            are reproducible.
        create: Whether to create the store file if it does not exist.

    Attributes:
        client: The engine with the methods of `boto3.client("lambda")`.

    Raises:
        EngineError: The store cannot be opened.
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
        versions = Versions(self._backend)
        self._invoking = Invoking(self._backend, self._control, self._scheduler, self._recovery, versions)
        self._forks = ForkControl(self._backend, self._recovery, self._queries)
        self.client = LocalLambdaClient(
            self._checkpoints, self._callbacks, self._control, self._queries, self._invoking, versions
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(wait=timedelta(seconds=5) if kind is None else timedelta(0))

    @property
    def store_path(self) -> Path | None:
        """Path of the store's file; None for a store in memory."""
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
        versions: Mapping[str, DurableTarget | FunctionHost | Callable[[Any, Any], Any]] | None = None,
        aliases: Mapping[str, str] | None = None,
        profile: FunctionProfile | None = None,
    ) -> None:
        """Register a function under a name.

        Args:
            name: Function name: 1 to 64 letters, digits, `-` and `_`.
            target: A handler decorated with `@durable_execution`; any callable `(event, lambda_context) -> result`; or a
                `FunctionHost`, which runs the function elsewhere.
            durable: Whether invocations are durable executions. By default True for decorated handlers and hosts, and False
                for other callables.
            execution_timeout: Maximum duration of an execution.
            retention: How long to keep an ended execution.
            timeout: Maximum duration of one invocation.
            tenant_isolated: Whether every invocation needs a tenant id.
            versions: Published versions with code of their own, by number. An execution keeps the version it started on.
            aliases: Versions by alias.
            profile: What `client.get_function` says about the function besides.

        Raises:
            EngineError: The name is not a valid function name, the target is not callable, or an alias or version is not valid.
        """
        for option, value in (("execution_timeout", execution_timeout), ("retention", retention), ("timeout", timeout)):
            check_optional_duration(option, value)
        host, is_durable = host_of(name, target)
        if (
            durable is None and getattr_static(host, "is_durable", None) is None
        ):  # otherwise the host knows, once loaded
            durable = is_durable
        self._functions.add(
            Function(
                name,
                host,
                durable,
                execution_timeout,
                retention or self._limits.retention,
                timeout or self._limits.function_timeout,
                tenant_isolated,
                {version: host_of(name, each)[0] for version, each in (versions or {}).items()},
                aliases or {},
                profile or profile_of(target, versions),
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
        arn: str | None = None,
    ) -> str:
        """Start an execution and return at once.

        Args:
            function: Name of a registered function.
            payload: A value that can be serialized as JSON.
            name: Execution name. A second start with the same name and payload returns the same execution, also after a
                crash.
            timeout: Maximum duration of the execution.
            tenant_id: Tenant id.
            trace_header: `XAmznTraceId` to pass to the handler.
            arn: The ARN to run under, instead of a new one: to record an execution again. `ctx.random()` and `ctx.uuid()`
                depend on it.

        Returns:
            The execution's ARN.

        Raises:
            EngineError: The function is not registered, or the payload cannot be serialized as JSON.
            ServiceError: An execution with this name and a different payload exists.
        """
        return self._start(function, payload, name, timeout, tenant_id, trace_header, arn).arn

    def run(
        self,
        function: str,
        payload: Any = None,
        *,
        name: str | None = None,
        timeout: timedelta | None = None,
        tenant_id: str | None = None,
    ) -> ExecutionResult:
        """Start an execution and wait until it ends. Takes the arguments and raises the errors of `start`."""
        return self._await(self._start(function, payload, name, timeout, tenant_id, None), None)

    def wait(self, arn: str, *, timeout: timedelta | None = None) -> ExecutionResult:
        """Wait until an execution ends.

        Args:
            arn: The execution's ARN.
            timeout: How long to wait, in real time. None waits forever with the real clock. With a skipping clock, None waits
                until the execution needs an external event.

        Raises:
            EngineError: The execution does not end in that time, or does not exist.
        """
        return self._await(self._outcomes.row(arn), timeout)

    def run_until_idle(self, *, skips: Skips = "work", timeout: timedelta | None = None) -> None:
        """Run until every execution has ended or waits for an external event.

        Args:
            skips: How far a skipping clock may jump.
            timeout: Maximum time to wait, in real time.
        """
        self.run_until(self._scheduler.is_idle, skips=skips, timeout=timeout)

    def run_until(
        self, is_done: Callable[[], bool], *, skips: Skips = "everything", timeout: timedelta | None = None
    ) -> bool:
        """Run until a condition is true.

        Args:
            is_done: Returns whether the condition is true. Called after every change, and at least every second while a
                handler runs.
            skips: How far a skipping clock may jump.
            timeout: How long to wait for external events, in real time. With a skipping clock, None does not wait.

        Returns:
            Whether the condition is true. False if no work is left that could make it true, or the time-out passed.
        """
        check_optional_duration("timeout", timeout)
        seconds = None if timeout is None else timeout / timedelta(seconds=1)
        return self._scheduler.run_until(is_done, timeout=seconds, skips=skips)

    def advance(self, duration: timedelta) -> None:
        """Advance a skipping clock, and run everything that becomes due on the way, each at its own time.

        Raises:
            EngineError: The engine has a real clock.
        """
        check_duration("duration", duration)
        clock = self._backend.clock
        if not clock.is_skipping:
            raise EngineError("a real clock cannot be advanced: create the engine with time='skip'.")
        end = clock.now() + duration
        self._scheduler.run_until(lambda: False, horizon_ms=millis(end))
        clock.advance_to(end)
        self.run_until_idle(skips="nothing")

    def result(self, arn: str) -> ExecutionResult | None:
        """The result of an execution; None while it is unfinished.

        Raises:
            EngineError: The execution does not exist.
        """
        return self._outcomes.result(self._outcomes.row(arn).key)

    def wait_for_callback_id(self, arn: str, name: str | None = None, *, timeout: timedelta | None = None) -> str:
        """Wait until an execution waits for a callback, and return the callback's id.

        Args:
            arn: The execution's ARN.
            name: The callback's name, or the name of the `wait_for_callback` that contains it; None for the first open
                callback.
            timeout: How long to wait, in real time.

        Returns:
            The id to pass to `client.send_durable_execution_callback_success`.

        Raises:
            EngineError: The execution ends or becomes idle without opening such a callback.
        """
        key, outcomes = self._outcomes.row(arn).key, self._outcomes
        self.run_until(
            lambda: outcomes.callback_id(key, name) is not None or outcomes.is_over(key), skips="work", timeout=timeout
        )
        found = outcomes.callback_id(key, name)
        if found is None:
            raise outcomes.no_callback(arn, name)
        return found

    def open_callback_id(self, arn: str, name: str | None = None) -> str | None:
        """The id of an open callback of an execution; None if it has none.

        Args:
            arn: The execution's ARN.
            name: The callback's name, or the name of the `wait_for_callback` that contains it; None for the first one.

        Raises:
            EngineError: The execution does not exist.
        """
        return self._outcomes.callback_id(self._outcomes.row(arn).key, name)

    def executions(
        self,
        *,
        name: str | None = None,
        statuses: Sequence[str] | None = None,
        oldest_first: bool = False,
        marker: str | None = None,
        max_items: int | None = None,
    ) -> Wire:
        """List a page of the durable executions of all functions, in the form of ListDurableExecutionsByFunction.

        Args:
            name: Only executions with this name.
            statuses: Only executions with one of these statuses.
            oldest_first: Whether to list the oldest first instead of the newest.
            marker: `NextMarker` of the previous page.
            max_items: Maximum number of executions in the page.
        """
        with self._queries.intact():
            page = self._queries.executions(
                None, name=name, statuses=statuses, oldest_first=oldest_first, marker=marker, max_items=max_items
            )
            return {**page, "DurableExecutions": [dated(found) for found in page["DurableExecutions"]]}

    def fork(
        self,
        origin: RecordedExecution | str,
        *,
        at: str,
        function: str,
        result: Any = UNCHANGED,
        error: ErrorObject | None = None,
        payload: Any = UNCHANGED,
        live: Sequence[str] = (),
        answers: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> str:
        """Continue a recorded execution from one of its calls on, as a new execution, and return at once.

        The call ends as you say, or as recorded. Calls after it take their recorded outcomes as long as the code makes the
        same calls. No step body runs and no function is invoked unless you name it in `live`. A call without a recorded
        outcome waits: see `fork_questions` and `answer`. Use an engine with a skipping clock.

        Args:
            origin: A recorded execution (`durable_execution.history.reading.read_history`), or the ARN of an execution in this store.
            at: The call: its path, the end of its path, or its name.
            function: Name of the registered function whose code goes on from there. It must run in this process.
            result: A value, serializable as JSON, that the call returns instead of its recorded result.
            error: An error that the call raises instead.
            payload: A different payload.
            live: Names of steps and invokes that run for real.
            answers: Results of calls without a recorded outcome, by name.
            name: Execution name of the fork.

        Returns:
            The fork's ARN.

        Raises:
            ForkRefusedError: The execution cannot be forked at this call, or the code leaves the recording before it.
            EngineError: The function is not registered, or a value cannot be serialized as JSON.
        """
        edit = edit_of(result, error)
        recorded = self._forks.recorded(origin) if isinstance(origin, str) else origin
        arn = self._forks.start(
            recorded, at, self._functions.require(function), edit, payload, live, answers or {}, name
        )  # fmt: skip
        if not self._backend.clock.is_skipping:
            self._scheduler.drive()
        return arn

    def fork_questions(self, arn: str) -> list[str]:
        """The names of the calls of a fork that wait for an outcome from you, in call order. Unnamed calls show their type."""
        return self._forks.questions(self._outcomes.row(arn))

    def answer(self, arn: str, name: str, result: Any = None, *, error: ErrorObject | None = None) -> None:
        """Give the outcome of the calls of a fork that have no recorded one.

        Args:
            arn: The fork's ARN.
            name: Name of the calls.
            result: The value they return, serializable as JSON.
            error: The error they raise instead.

        Raises:
            EngineError: The execution is not a fork, or the value cannot be serialized as JSON.
        """
        self._forks.answer(self._outcomes.row(arn), name, edit_of(result, error) or {"result": "null"})

    def drive(self) -> None:
        """Run executions on a background thread from now on, also while no caller waits for one.

        With the real clock, the engine does this by itself. A skipping clock jumps over waits and retries, and follows real
        time while every execution waits for an external event.
        """
        self._scheduler.drive()

    def resume(self, arn: str | None = None) -> list[str]:
        """Continue every unfinished execution of a registered function whose engine is gone, and return their ARNs.

        Args:
            arn: Only this execution, and those that it invoked.
        """
        self._scheduler.require_open()
        adopted = self._recovery.adopt_all() if arn is None else self._recovery.adopt(self._outcomes.row(arn))
        self._control.remove_expired()
        if adopted and not self._backend.clock.is_skipping:
            self._scheduler.drive()
        return adopted

    def close(self, *, wait: timedelta = timedelta(seconds=5)) -> None:
        """Stop scheduling and close the store. Another engine can resume unfinished executions.

        Args:
            wait: How long to wait for running invocations.
        """
        if self._scheduler.is_closed:
            return
        self._scheduler.close(wait=wait / timedelta(seconds=1))
        self._functions.close()
        self._lease.release()
        self._store.close()

    def observers_for(self, assignment: Assignment) -> Sequence[Observer]:
        """The observers of an invocation that runs in this process. Override it to add observers.

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
        arn: str | None = None,
    ) -> ExecutionRow:
        check_optional_duration("timeout", timeout)
        start = Start(
            self._functions.require(function),
            Target(function, LATEST),
            encode_payload(payload),
            name=name,
            timeout=timeout,
            tenant_id=tenant_id,
            trace_header=trace_header,
            arn=arn,
        )
        return self._invoking.start(start)

    def _await(self, row: ExecutionRow, timeout: timedelta | None) -> ExecutionResult:
        check_optional_duration("timeout", timeout)
        self._invoking.wait(row.key, timeout)
        found = self._outcomes.result(row.key)
        if found is None:
            raise self._outcomes.unfinished(row.arn)
        return found
