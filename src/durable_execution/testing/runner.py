"""The face that the local and the cloud runner have in common: starting executions, and what a test does with one."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar

from durable_execution.protocol import ErrorObject, ExecutionStatus, OperationStatus
from durable_execution.testing.calls import ServiceCalls
from durable_execution.testing.problems import RunnerError
from durable_execution.testing.report import RunResult
from durable_execution.testing.views import CallbackView

X = TypeVar("X", bound="Execution")

OPEN = (OperationStatus.STARTED,)


class Runner(ABC, Generic[X]):
    """Starts executions of one function.

    Args:
        calls: The service.
        timeout: How long a test waits for an execution, in real time.
    """

    def __init__(self, calls: ServiceCalls, timeout: timedelta) -> None:
        self.calls = calls
        self.timeout = timeout

    @abstractmethod
    def start(self, payload: Any = None, *, name: str | None = None) -> X:
        """Start an execution, to be moved step by step.

        Args:
            payload: Anything that can be written as JSON.
            name: Execution name; by default one is made.
        """

    def run(self, payload: Any = None, *, name: str | None = None, timeout: timedelta | None = None) -> RunResult:
        """Start an execution and wait for its end.

        Args:
            payload: Anything that can be written as JSON.
            name: Execution name; by default one is made.
            timeout: How long to wait, in real time; by default the runner's.

        Raises:
            RunnerError: It does not end: it waits for a callback, or is paused, or takes longer.
        """
        return self.start(payload, name=name).finish(timeout=timeout)


class Execution(ABC):
    """An execution that a test has started.

    Attributes:
        arn: Its ARN.
    """

    def __init__(self, arn: str, calls: ServiceCalls, timeout: timedelta) -> None:
        self.arn = arn
        self._calls = calls
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.arn}>"

    @property
    def status(self) -> ExecutionStatus:
        """Where it stands."""
        return self._calls.status(self.arn)

    def report(self) -> RunResult:
        """What is recorded so far. Nothing runs on meanwhile."""
        return RunResult(self._calls.read(self.arn))

    def until_waiting(self, *, timeout: timedelta | None = None) -> RunResult:
        """Let it run until it has ended, or has nothing left to do but wait: for time to pass, or for the outside.

        Raises:
            RunnerError: That takes longer than `timeout`.
        """
        self._run_until(self._is_waiting, timeout or self._timeout)
        return self.report()

    def finish(self, *, timeout: timedelta | None = None) -> RunResult:
        """Let it run to its end.

        Raises:
            RunnerError: It does not end; the message says what it waits for.
        """
        self._run_until(self._has_ended, timeout or self._timeout)
        if not self._has_ended():
            raise RunnerError(self._why_unfinished())
        return self.report()

    def callback_id(self, name: str | None = None, *, timeout: timedelta | None = None) -> str:
        """Let it run until it waits for a callback.

        Args:
            name: Name of the callback, or of the `wait_for_callback` around it; None for the only one that is open.
            timeout: How long to wait, in real time; by default the runner's.

        Returns:
            The id that completes it.

        Raises:
            RunnerError: It does not come to such a callback, or several are open and no name was given.
        """
        self._run_until(lambda: bool(self._open_callbacks(name)) or self._has_ended(), timeout or self._timeout)
        found = self._open_callbacks(name)
        if len(found) == 1:
            return found[0].callback_id
        wanted = f"a callback named {name!r}" if name is not None else "a callback"
        report = self.report()
        if found:
            names = ", ".join(view.path for view in found)
            raise RunnerError(f"the execution waits for several callbacks: {names}. Say which one by its name")
        raise RunnerError(f"the execution does not wait for {wanted}:\n{report.describe()}")

    def succeed_callback(self, name: str | None = None, result: Any = None) -> None:
        """Let it run until it waits for a callback, and complete that.

        Args:
            name: As for `callback_id`.
            result: Text and bytes are sent as they are, None as nothing, anything else as JSON.
        """
        self._calls.succeed_callback(self.callback_id(name), result)

    def fail_callback(self, name: str | None = None, error: ErrorObject | str = "the callback failed") -> None:
        """Let it run until it waits for a callback, and report a failure to it.

        Args:
            name: As for `callback_id`.
            error: What went wrong; a text becomes the message.
        """
        self._calls.fail_callback(self.callback_id(name), _error(error))

    def heartbeat(self, name: str | None = None) -> None:
        """Let it run until it waits for a callback, and say that the work behind it goes on."""
        self._calls.heartbeat(self.callback_id(name))

    def pause(self, reason: str | None = None) -> None:
        """Have its handler not invoked any more: at once, or from the end of the invocation that runs."""
        self._calls.pause(self.arn, reason)

    def resume(self, reason: str | None = None) -> None:
        """Let it go on after a pause."""
        self._calls.resume(self.arn, reason)

    def stop(self, error: ErrorObject | str | None = None) -> RunResult:
        """End it as STOPPED.

        Args:
            error: Why; a text becomes the message.
        """
        self._calls.stop(self.arn, _error(error) if error is not None else None)
        return self.report()

    @abstractmethod
    def _run_until(self, is_done: Callable[[], bool], timeout: timedelta) -> None:
        """Let it run until something is the case, or nothing is left that could bring it about.

        Raises:
            RunnerError: The time is over.
        """

    def _is_waiting(self) -> bool:
        """Whether it has ended, or has nothing left to do but wait: the handler has answered, and nothing came after."""
        if self._has_ended():
            return True
        last = self._calls.last_event(self.arn)
        if last.get("EventType") == "ExecutionPaused":
            return True
        return last.get("EventType") == "InvocationCompleted" and not last["InvocationCompletedDetails"].get("Error")

    def _has_ended(self) -> bool:
        return self.status.is_terminal

    def _open_callbacks(self, name: str | None) -> list[CallbackView]:
        """The callbacks it waits for, once the invocation that created them is over."""
        if not self._is_waiting():
            return []
        report = self.report()
        open_ones = [view for view in report.operations if isinstance(view, CallbackView) and view.status in OPEN]
        return [view for view in open_ones if name is None or report.fits(view, name)]

    def _why_unfinished(self) -> str:
        report = self.report()
        waiting = [view.path for view in report.operations if isinstance(view, CallbackView) and view.status in OPEN]
        if report.status in (ExecutionStatus.PAUSED, ExecutionStatus.PAUSING):
            cure = "It is paused: call resume()"
        elif waiting:
            cure = f"It waits for {', '.join(waiting)}: complete it with succeed_callback(name, result)"
        else:
            cure = "Nothing is left that could move it"
        return f"the execution has not ended. {cure}.\n{report.describe()}"


def _error(error: ErrorObject | str) -> ErrorObject:
    return ErrorObject(error, "Error") if isinstance(error, str) else error
