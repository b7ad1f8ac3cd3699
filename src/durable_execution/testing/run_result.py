"""The result of an execution, for assertions in tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from durable_execution.counts import counted
from durable_execution.errors import SerializationError
from durable_execution.history.documents import history_of
from durable_execution.history.recorded import RecordedExecution, RecordedInvocation
from durable_execution.private_files import make_private_directory, write_private
from durable_execution.protocol import ErrorObject, ExecutionStatus, Wire
from durable_execution.protocol.ids import root_path
from durable_execution.protocol.safe_text import json_text
from durable_execution.serdes.codec import typed_codec
from durable_execution.testing.operation_views import Lookup, OperationTree, OperationView, StepView

T = TypeVar("T")
MAX_VALUE_LENGTH = 60
MAX_LINES = 200


class RunResult(Lookup):
    """A snapshot of an execution, which has ended or is still running.

    Find operations by name, path or index: `result.step("charge")`, `result.context(path="notify#3")`,
    `result.wait(index=0)`. Print it to show the execution as an outline.

    Attributes:
        recorded: The recorded execution, see `durable_execution.comparison`.
    """

    def __init__(self, recorded: RecordedExecution) -> None:
        self.recorded = recorded
        root = root_path(recorded.handler or recorded.function_name or recorded.name or "execution")
        self._tree = OperationTree(recorded.operations, root)

    def result_as(self, annotation: type[T]) -> T:
        """The result as a value of a type: a pydantic model, a dataclass, an enum.

        Raises:
            SerializationError: There is no result, or it does not match the type.
        """
        if self.status is not ExecutionStatus.SUCCEEDED:
            raise SerializationError(f"{self.path} has no result: its status is {self.status}", operation=self.path)
        value: T = typed_codec(annotation).decode(json.dumps(self.result))
        return value

    @property
    def arn(self) -> str:
        """The execution's ARN."""
        return self.recorded.arn or ""

    @property
    def path(self) -> str:
        """Path of the handler, the prefix of the paths of all operations."""
        return self._tree.root

    @property
    def status(self) -> ExecutionStatus:
        """The status of the execution: RUNNING until it has ended."""
        return ExecutionStatus(self.recorded.status)

    @property
    def result(self) -> Any:
        """The handler's result, read as JSON; None unless the execution SUCCEEDED."""
        text = self.recorded.result
        if text is None or self.status is not ExecutionStatus.SUCCEEDED:
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text

    @property
    def error(self) -> ErrorObject | None:
        """The error if the execution failed, timed out or was stopped."""
        return self.recorded.error

    @property
    def history(self) -> Sequence[Wire]:
        """The events, as the API returns them."""
        return self.recorded.events

    def save_history(self, path: str | Path) -> Path:
        """Write the history to a file, as the AWS CLI prints it, with the ARN.

        `durable-debug check`, `replay` and `show` read it. In a directory of `durable_histories`, with a name that ends in
        `.history.json`, it is a test that replays the execution against the current handler.

        Args:
            path: The file. Its directories are created.

        Returns:
            The path.
        """
        file = Path(path)
        make_private_directory(file.parent)
        write_private(file, json_text(history_of(self.recorded), indent=1) + "\n")
        return file

    @property
    def event_types(self) -> list[str]:
        """The types of the events, in order."""
        return [str(event.get("EventType")) for event in self.recorded.events]

    @property
    def invocations(self) -> Sequence[RecordedInvocation]:
        """The runs of the handler, in order."""
        return self.recorded.invocations

    @property
    def operations(self) -> list[OperationView]:
        """All operations at any depth, each context before its content."""
        return list(self._tree.all)

    @property
    def children(self) -> list[OperationView]:
        """The operations that the handler called directly, in call order."""
        return self._tree.children(None)

    def assert_succeeded(self) -> Any:
        """Check that the execution succeeded.

        Returns:
            The handler's result.

        Raises:
            AssertionError: It did not succeed; the message shows the execution.
        """
        __tracebackhide__ = True
        if self.status is not ExecutionStatus.SUCCEEDED:
            raise AssertionError(f"the execution did not succeed\n{self.describe()}")
        return self.result

    def describe(self) -> str:
        """The execution as an outline: one line for the execution, then one line for each operation."""
        lines = [self._headline()]
        lines += ["  " * (view.recorded.depth + 1) + _line(view) for view in self._tree.all[:MAX_LINES]]
        if len(self._tree.all) > MAX_LINES:
            lines.append(f"  … and {counted(len(self._tree.all) - MAX_LINES, 'more operation')}")
        return "\n".join(lines)

    def _headline(self) -> str:
        count = len(self.recorded.invocations)
        runs = counted(count, "invocation")
        outcome = f": {self.error}" if self.error is not None else f" → {_short(self.recorded.result)}"
        return f"{self.path} {self.status} after {runs}{outcome if self.status.is_terminal else ''}"

    def __str__(self) -> str:
        return self.describe()

    def __repr__(self) -> str:
        return f"<RunResult {self._headline()}>"


def _line(view: OperationView) -> str:
    label = view.path.rpartition("/")[2]
    attempts = (
        f" ({counted(view.attempt_count, 'attempt')})" if isinstance(view, StepView) and view.attempt_count > 1 else ""
    )
    if view.error is not None:
        outcome = f": {_short(str(view.error))}"
    elif view.raw_result:
        outcome = f" → {_short(json.dumps(view.result, default=str))}"
    else:
        outcome = ""
    return f"{label} {view.kind} {view.status}{attempts}{outcome}"


def _short(text: str | None) -> str:
    one_line = " ".join((text or "null").split())
    return one_line if len(one_line) <= MAX_VALUE_LENGTH else one_line[: MAX_VALUE_LENGTH - 1] + "…"
