"""The common interface of the local and the cloud runner: it starts executions and controls them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar

from durable_execution.protocol import ErrorObject, ExecutionStatus, OperationStatus
from durable_execution.retry import check_duration
from durable_execution.testing.calls import ServiceCalls
from durable_execution.testing.operation_views import CallbackView
from durable_execution.testing.problems import RunnerError
from durable_execution.testing.run_result import RunResult

X = TypeVar("X", bound="Execution")

OPEN = (OperationStatus.STARTED,)


class Runner(ABC, Generic[X]):
    """Starts executions of one function.

    Args:
        calls: The service.
        timeout: How long a test waits for an execution, in real time.
    """

    def __init__(self, calls: ServiceCalls, timeout: timedelta) -> None:
        check_duration("timeout", timeout)
        self.calls = calls
        self.timeout = timeout

    @abstractmethod
    def start(self, payload: Any = None, *, name: str | None = None) -> X:
        """Start an execution, to control it step by step.

        Args:
            payload: A JSON-serializable value.
            name: Name of the execution; by default a generated one.
        """

    def run(self, payload: Any = None, *, name: str | None = None, timeout: timedelta | None = None) -> RunResult:
        """Start an execution and wait for its end.

        Args:
            payload: A JSON-serializable value.
            name: Name of the execution; by default a generated one.
            timeout: How long to wait, in real time; by default the runner's.

        Raises:
            RunnerError: The execution does not end: it waits for a callback, is paused, or exceeds the timeout.
        """
        return self.start(payload, name=name).finish(timeout=timeout)


class Execution(ABC):
    """An execution that a test has started.

    Attributes:
        arn: ARN of the execution.
    """

    def __init__(self, arn: str, calls: ServiceCalls, timeout: timedelta) -> None:
        self.arn = arn
        self._calls = calls
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.arn}>"

    @property
    def status(self) -> ExecutionStatus:
        """The current status."""
        return self._calls.status(self.arn)

    def report(self) -> RunResult:
        """A snapshot of what is recorded so far. Does not continue the execution."""
        return RunResult(self._calls.read(self.arn))

    def until_waiting(self, *, timeout: timedelta | None = None) -> RunResult:
        """Run the execution until it has ended, or only waits: for a timer, a callback or a function.

        Raises:
            RunnerError: It takes longer than `timeout`.
        """
        self._run_until(self._is_waiting, timeout or self._timeout)
        return self.report()

    def finish(self, *, timeout: timedelta | None = None) -> RunResult:
        """Run the execution to its end.

        Raises:
            RunnerError: It does not end. The message says what it waits for.
        """
        self._run_until(self._has_ended, timeout or self._timeout)
        if not self._has_ended():
            raise RunnerError(self._why_unfinished())
        return self.report()

    def callback_id(self, name: str | None = None, *, timeout: timedelta | None = None) -> str:
        """Run the execution until it waits for a callback.

        Args:
            name: Name of the callback or of its `wait_for_callback`; None if only one callback is open.
            timeout: How long to wait, in real time; by default the runner's.

        Returns:
            The callback id.

        Raises:
            RunnerError: The execution does not reach such a callback, or several are open and you passed no name.
        """
        self._run_until(lambda: bool(self._open_callbacks(name)) or self._has_ended(), timeout or self._timeout)
        found = self._open_callbacks(name)
        if len(found) == 1:
            return found[0].callback_id
        wanted = f"a callback named {name!r}" if name is not None else "a callback"
        report = self.report()
        if found:
            names = ", ".join(view.path for view in found)
            raise RunnerError(f"the execution waits for several callbacks: {names}. Pass the name of one")
        raise RunnerError(f"the execution does not wait for {wanted}:\n{report.describe()}")

    def open_callbacks(self, name: str | None = None) -> list[CallbackView]:
        """The callbacks that the execution waits for, once the invocation that created them has ended.

        Args:
            name: Name or path; None for all.
        """
        return self._open_callbacks(name)

    def succeed_callback(self, name: str | None = None, result: Any = None) -> None:
        """Run the execution until it waits for a callback, and complete the callback.

        Args:
            name: As for `callback_id`.
            result: Text and bytes are sent unchanged, None as an empty payload, any other value as JSON.
        """
        self._calls.succeed_callback(self.callback_id(name), result)

    def fail_callback(self, name: str | None = None, error: ErrorObject | str = "the callback failed") -> None:
        """Run the execution until it waits for a callback, and fail the callback.

        Args:
            name: As for `callback_id`.
            error: The error; a text becomes its message.
        """
        self._calls.fail_callback(self.callback_id(name), _error(error))

    def heartbeat(self, name: str | None = None) -> None:
        """Run the execution until it waits for a callback, and send a heartbeat."""
        self._calls.heartbeat(self.callback_id(name))

    def pause(self, reason: str | None = None) -> None:
        """Pause the execution: at once, or at the end of the running invocation."""
        self._calls.pause(self.arn, reason)

    def resume(self, reason: str | None = None) -> None:
        """Resume the execution after a pause."""
        self._calls.resume(self.arn, reason)

    def stop(self, error: ErrorObject | str | None = None) -> RunResult:
        """End the execution as STOPPED.

        Args:
            error: The reason; a text becomes the message.
        """
        self._calls.stop(self.arn, _error(error) if error is not None else None)
        return self.report()

    @abstractmethod
    def _run_until(self, is_done: Callable[[], bool], timeout: timedelta) -> None:
        """Run the execution until a condition is true, or until nothing is left that could make it true.

        Raises:
            RunnerError: The timeout has expired.
        """

    def _is_waiting(self) -> bool:
        """Whether the execution has ended or only waits: the last event is the handler's answer, or a pause."""
        if self._has_ended():
            return True
        last = self._calls.last_event(self.arn)
        if last.get("EventType") == "ExecutionPaused":
            return True
        return last.get("EventType") == "InvocationCompleted" and not last["InvocationCompletedDetails"].get("Error")

    def _has_ended(self) -> bool:
        return self.status.is_terminal

    def _open_callbacks(self, name: str | None) -> list[CallbackView]:
        """The callbacks that the execution waits for, once the invocation that created them has ended."""
        if not self._is_waiting():
            return []
        report = self.report()
        open_ones = [view for view in report.operations if isinstance(view, CallbackView) and view.status in OPEN]
        return [view for view in open_ones if name is None or report.fits(view, name)]

    def _why_unfinished(self) -> str:
        report = self.report()
        waiting = [view.path for view in report.operations if isinstance(view, CallbackView) and view.status in OPEN]
        if report.status in (ExecutionStatus.PAUSED, ExecutionStatus.PAUSING):
            cure = "It is paused. Call resume()"
        elif waiting:
            cure = f"It waits for {', '.join(waiting)}. Complete it with succeed_callback(name, result)"
        else:
            cure = "Nothing is left that could continue it"
        return f"the execution has not ended. {cure}.\n{report.describe()}"


def _error(error: ErrorObject | str) -> ErrorObject:
    return ErrorObject(error, "Error") if isinstance(error, str) else error
