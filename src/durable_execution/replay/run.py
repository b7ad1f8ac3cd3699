"""Runs a handler once over a recorded state: in its own thread, isolated, with a time limit."""

import asyncio
import contextvars
import functools
import inspect
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from durable_execution.clock import SystemClock
from durable_execution.errors import DurableError, SerializationError
from durable_execution.invocation import InvocationLoop
from durable_execution.observers import Observer
from durable_execution.protocol import InvocationInput, Wire
from durable_execution.replay.isolation.audit_hook import is_refusal
from durable_execution.replay.isolation.substitutes import ThreadRecorder, isolated, recorded_by
from durable_execution.replay.recorded_state import RecordedState
from durable_execution.replay.replay_thread import ReplayThread, ReplayTimeoutError, abandon
from durable_execution.replay.stand_ins import Collector, ReplayLambdaContext, ReplayService, TaskTracker
from durable_execution.replay.suspects import Profiler, Suspect, SuspectList, claim, stop_watching
from durable_execution.runtime.call import Call
from durable_execution.runtime.loop import EnvironmentLoop
from durable_execution.runtime.scope import ContextScope
from durable_execution.runtime.state import ExecutionState, NondeterminismPolicy
from durable_execution.serdes.error_texts import UnavailableError

T = TypeVar("T")

THREADS_SECONDS = 0.2
"""How long a replay waits at its end for threads that its code started."""

DEFAULT_ARN = "arn:aws:lambda:us-east-1:123456789012:function:replayed:$LATEST/durable-execution/replay/replay"


class UnusableHandlerError(DurableError):
    """The object is not a durable handler, or it cannot be replayed."""


class UnknownHandlerError(UnusableHandlerError):
    """A reference names no durable handler: there is no such file, module or name, or it is not durable."""


class Runner(Protocol):
    """Runs orchestration code on a thread, and sees what it does there."""

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in this thread."""
        ...


@dataclass(slots=True)
class ReplayRun:
    """The result of one replay.

    Attributes:
        collector: The calls the code made, and the first difference.
        service: The updates it sent.
        suspects: Inputs that the code used besides the recording, such as the clock.
        answer: The handler's answer; None when it gave none.
        error: The exception it raised instead.
        is_timed_out: Whether it was stopped at the time limit.
        stuck_at: The user's line when it was stopped.
        has_ended: Whether the handler finished.
        has_guessed_arn: Whether the code used an ARN that the recording does not contain.
        cut_off: Id prefixes of tasks that the handler cancelled.
        unfinished: Id prefixes of tasks that were still running at the end.
        came_to_end: Id prefixes of tasks that finished.
        unread: Why a recorded result could not be fetched or opened here, by path of its call.
    """

    collector: Collector
    service: ReplayService
    suspects: tuple[Suspect, ...] = ()
    answer: Wire | None = None
    error: BaseException | None = None
    is_timed_out: bool = False
    stuck_at: str | None = None
    has_ended: bool = False
    has_guessed_arn: bool = False
    cut_off: frozenset[str] = frozenset()
    unfinished: frozenset[str] = frozenset()
    came_to_end: frozenset[str] = frozenset()
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def is_blocked(self) -> bool:
        """Whether the handler failed because a side effect was refused."""
        is_failed = (self.answer or {}).get("Status") == "FAILED"
        return is_failed and any(one.is_blocked for one in self.suspects) and is_refusal(self.collector.exception)

    def is_refused(self, beyond: "ReplayRun | None") -> bool:
        """Whether the handler failed only because a side effect was refused.

        Args:
            beyond: A replay in which refused side effects seem to succeed, if there was one: it shows whether the code fails
                without the refusal.
        """
        if beyond is None or beyond.is_blocked:
            return self.is_blocked
        return self.is_blocked and self.failure != beyond.failure if beyond.has_failed else self.has_failed

    @property
    def failure(self) -> tuple[Any, Any]:
        """Type and message of the error that the handler answers with."""
        error = (self.answer or {}).get("Error") or {}
        return error.get("ErrorType"), error.get("ErrorMessage")

    @property
    def is_waiting(self) -> bool:
        """Whether every branch of the code waits, for operations that are open in the recording or not in it.

        The code has then made every call that the recorded results lead to.
        """
        return (self.answer or {}).get("Status") == "PENDING" and bool(self.collector.pending)

    @property
    def is_resting(self) -> bool:
        """Whether every branch of the code waits for an operation that is open in the recording too."""
        calls = self.collector.calls
        return self.is_waiting and all(
            call.id in calls and calls[call.id].is_recorded for call in self.collector.pending
        )

    @property
    def has_failed(self) -> bool:
        """Whether the handler raised, and not because of a difference."""
        if self.error is not None:
            return True
        return (self.answer or {}).get("Status") == "FAILED" and self.collector.diverged is None


def run_once(
    handler: Any,
    state: RecordedState,
    *,
    seconds: float,
    watch: bool = True,
    recorder: Runner | None = None,
    pretends: bool = False,
    observers: Sequence[Observer] = (),
) -> ReplayRun:
    """Run a handler once over a recorded state.

    Args:
        handler: A `DurableHandler`.
        state: The recorded state.
        seconds: Time limit.
        watch: Whether to watch for clocks, random numbers and other suspects; this takes time.
        recorder: Runs the code on each of its threads: it records what the code does line by line, or lets a debugger trace
            it. Recording is faster without `watch`.
        pretends: Whether refused side effects seem to succeed.
        observers: Further observers of the invocation.
    """
    function, name = handler_parts(handler)
    claim(function)
    collector = Collector()
    operations = state.operations()
    fork = state.execution.forked_from
    run = ReplayRun(collector, ReplayService(set(state.rooms), fork.seed if fork is not None else None))
    suspects = SuspectList(lambda: _progress(collector))
    profiler = Profiler(suspects) if watch else None
    arn = state.execution.arn or UnknownArn(DEFAULT_ARN)
    loop = ReplayLoop(
        function=_watched(function, profiler) if profiler is not None else function,
        name=name,
        envelope=InvocationInput(arn, "replay-0", operations),
        lambda_context=ReplayLambdaContext(suspects),
        client=run.service,
        clock=SystemClock(),
        observers=(collector, *observers),
        policy=NondeterminismPolicy.FAIL,
        logs_while_replaying=False,
        logger=_silent_logger(),
    )
    loop.tasks, loop.profiler, loop.recorder = TaskTracker(), profiler, recorder
    loop.unread = run.unread
    worker = ReplayThread(lambda: _replay(run, loop, suspects, pretends=pretends), lambda: loop.loop)
    run.is_timed_out, run.stuck_at = worker.run(seconds)
    run.suspects = tuple(suspects)
    run.cut_off, run.unfinished, run.came_to_end = (
        loop.tasks.cut_off(),
        loop.tasks.unfinished(),
        loop.tasks.came_to_end(),
    )
    run.has_guessed_arn = isinstance(arn, UnknownArn) and arn.is_used
    run.has_ended = run.answer is not None and run.answer.get("Status") != "PENDING"
    return run


def handler_parts(handler: Any) -> tuple[Callable[..., Any], str]:
    """Return the function and the name of a durable handler.

    Raises:
        UnusableHandlerError: The object is not a durable handler.
    """
    function, name = getattr(handler, "function", None), getattr(handler, "name", None)
    if not callable(function) or not isinstance(name, str) or not callable(getattr(handler, "invoke", None)):
        raise UnusableHandlerError(f"{handler!r:.80} is not a durable handler: decorate it with @durable_execution")
    return function, name


class UnknownArn(str):  # noqa: SLOT000  # it needs an instance attribute
    """Stands in for an ARN that the recording does not contain, and remembers whether the code used it.

    The ARN seeds `ctx.random()` and `ctx.uuid()`, so a different ARN gives different values.
    """

    is_used = False

    def __format__(self, specification: str) -> str:
        self.is_used = True
        return super().__format__(specification)


class ReplayLoop(InvocationLoop):
    """An invocation whose step bodies never run."""

    loop: asyncio.AbstractEventLoop | None = None
    tasks: TaskTracker
    unread: dict[str, str]
    profiler: Profiler | None = None
    recorder: Runner | None = None

    def _run_on(self, environment: EnvironmentLoop) -> Wire:
        self.loop = environment.loop
        self.tasks.watch(environment.loop)
        return super()._run_on(environment)

    def _make_state(self) -> ExecutionState:
        state = super()._make_state()
        service = self._client
        if not isinstance(service, ReplayService):
            raise TypeError("a replay needs a ReplayService")
        state.stand_in = functools.partial(_stand_in, service)
        state.on_unread = self._note_unread
        if self.profiler is not None or self.recorder is not None:
            state.watch = self._watch
        return state

    def _note_unread(self, call: Call, error: Exception) -> None:
        """Note a result that is not at hand. A result that does not have the code's type is a difference of the code."""
        if isinstance(error, UnavailableError) or not isinstance(error, SerializationError):
            self.unread.setdefault(call.path, f"{type(error).__name__}: {error}".removeprefix("UnavailableError: "))

    def _watch(self, function: Callable[[], Any]) -> Any:
        """Run blocking orchestration code on its thread, watched and recorded as the loop's thread is."""
        profiler, recorder = self.profiler, self.recorder
        inner = function if profiler is None else functools.partial(profiler.watch, function)
        return inner() if recorder is None else recorder.run(inner)


async def _stand_in(service: ReplayService, call: Call) -> Any:
    """Replace a step's body: never finish, or return no result where inserted calls are answered at once."""
    if service.is_in_room(call.id):
        return None
    scope: ContextScope | None = call.scope
    while scope is not None:
        if scope.owner is not None and service.is_in_room(scope.owner.id):
            return None
        scope = scope.outer
    return await call.scope.state.until_changed(call)


def _replay(run: ReplayRun, loop: ReplayLoop, suspects: SuspectList, *, pretends: bool) -> None:
    with isolated(suspects) as isolation, _quiet_log(), _effects(pretends=pretends):
        recorder: object = loop.recorder
        recorded_by.set(recorder if isinstance(recorder, ThreadRecorder) else None)  # in the context of this thread
        try:
            run.answer = loop.run() if loop.recorder is None else loop.recorder.run(loop.run)
        except ReplayTimeoutError:
            abandon(loop.loop)
            raise
        except BaseException as error:  # noqa: BLE001  # also an exit: Lambda retries the invocation, an outcome, too
            run.error = error
        finally:
            stop_watching()
        isolation.settle(THREADS_SECONDS)


def _effects(*, pretends: bool) -> AbstractContextManager[None]:
    if not pretends:
        return nullcontext()
    from durable_execution.replay.isolation.pretences import pretended_effects  # most replays attempt no effect

    return pretended_effects()


def _watched(function: Callable[..., Any], profiler: Profiler) -> Callable[..., Any]:
    """Wrap a coroutine function so that its thread is profiled; threads of blocking handlers are profiled separately."""
    if not inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    async def watched_coroutine(*arguments: Any, **options: Any) -> Any:
        profiler.start_everywhere()
        return await function(*arguments, **options)

    return watched_coroutine


def _progress(collector: Collector) -> tuple[int, str | None]:
    if not collector.calls:
        return 0, None
    last = next(reversed(collector.calls.values()))
    return len(collector.calls), last.call.path


_SILENCE = logging.NullHandler()
"""One for all replays: logging forgets a handler in a callback of its weak reference, and that would run in any thread, also
in one in which a replay that does not finish is being stopped."""


def _silent_logger() -> logging.Logger:
    logger = logging.Logger("durable_execution.replayed")  # noqa: LOG001  # a private logger that no configuration reaches
    logger.addHandler(_SILENCE)
    logger.propagate = False
    return logger


_is_replaying: contextvars.ContextVar[bool] = contextvars.ContextVar("durable_execution_is_replay", default=False)


class _Quiet(logging.Filter):
    """Drops the runtime's log lines during a replay, because the report contains the same information."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _is_replaying.get()


_QUIET = _Quiet()


class _quiet_log:  # noqa: N801  # used as a function
    def __enter__(self) -> None:
        logging.getLogger("durable_execution").addFilter(_QUIET)
        self._token = _is_replaying.set(True)

    def __exit__(self, *_: object) -> None:
        _is_replaying.reset(self._token)
