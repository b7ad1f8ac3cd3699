"""Operations of an execution, for assertions in tests: one class for each kind, created from the history."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from durable_execution.batch_result import BatchResult
from durable_execution.call_site import CallSite
from durable_execution.counts import counted, plural
from durable_execution.errors import SerializationError
from durable_execution.history.recorded import RecordedAttempt, RecordedOperation
from durable_execution.protocol import ErrorObject, OperationStatus, OperationSubType, OperationType
from durable_execution.protocol.enums import BATCHES
from durable_execution.serdes import tagged
from durable_execution.serdes.codec import typed_codec
from durable_execution.testing.problems import OperationNotFoundError

T = TypeVar("T")
V = TypeVar("V", bound="OperationView")
MAX_LISTED = 12


class OperationView:
    """One operation.

    Attributes:
        recorded: The recorded operation.
    """

    kind = "operation"

    def __init__(self, recorded: RecordedOperation, tree: "OperationTree") -> None:
        self.recorded = recorded
        self._tree = tree

    def __repr__(self) -> str:
        return f"<{self.kind} {self.path} {self.status}>"

    @property
    def id(self) -> str:
        """The id of the operation."""
        return self.recorded.id

    @property
    def name(self) -> str | None:
        """The name of the operation; None when it has none."""
        return self.recorded.name

    @property
    def path(self) -> str:
        """Readable path, for example `process_order/notify#3/email`."""
        return self.recorded.path

    @property
    def operation_type(self) -> OperationType:
        """The operation type in the service's API."""
        return self.recorded.type

    @property
    def subtype(self) -> str | None:
        """The recorded subtype."""
        return self.recorded.subtype

    @property
    def status(self) -> OperationStatus:
        """The status of the operation."""
        return self.recorded.status

    @property
    def started_at(self) -> datetime | None:
        """The time it started."""
        return self.recorded.started_at

    @property
    def ended_at(self) -> datetime | None:
        """The time it ended; None until it has ended."""
        return self.recorded.ended_at

    @property
    def error(self) -> ErrorObject | None:
        """The error it failed with; None when it has not failed."""
        return self.recorded.error

    @property
    def call_site(self) -> CallSite | None:
        """The call site; None unless a replay trace was recorded."""
        return self.recorded.call_site

    @property
    def raw_result(self) -> str | None:
        """The stored text of the result."""
        return self.recorded.result

    @property
    def result(self) -> Any:
        """The result, read as JSON: models and dataclasses are dictionaries. Text that is not JSON is returned unchanged."""
        return read_payload(self.recorded.result)

    def result_as(self, annotation: type[T]) -> T:
        """The result as a value of a type: a pydantic model, a dataclass, an enum.

        Raises:
            SerializationError: There is no result, or it does not match the type.
        """
        if self.recorded.result is None:
            raise SerializationError(f"{self.path} has no result: its status is {self.status}", operation=self.path)
        value: T = typed_codec(annotation).decode(self.recorded.result)
        return value

    @property
    def parent(self) -> "ContextView | None":
        """The context it belongs to; None at the root."""
        found = self._tree.by_id.get(self.recorded.parent_id or "")
        return found if isinstance(found, ContextView) else None


class StepView(OperationView):
    """A step."""

    kind = "step"

    @property
    def attempts(self) -> Sequence[RecordedAttempt]:
        """The attempts in order: number, times, outcome, result or error, and the delay before the next one."""
        return self.recorded.attempts

    @property
    def attempt_count(self) -> int:
        """Number of attempts that were started."""
        return len(self.recorded.attempts)

    @property
    def delays(self) -> list[timedelta]:
        """The requested delays between attempts."""
        seconds = (attempt.next_attempt_delay_seconds for attempt in self.recorded.attempts)
        return [timedelta(seconds=delay) for delay in seconds if delay is not None]


class ConditionView(StepView):
    """A `wait_for_condition`. Its attempts are its checks."""

    kind = "condition"

    @property
    def states(self) -> list[Any]:
        """The state that each check returned, in order."""
        return [read_payload(attempt.result) for attempt in self.recorded.attempts if attempt.outcome == "SUCCEEDED"]


class WaitView(OperationView):
    """A wait."""

    kind = "wait"

    @property
    def duration(self) -> timedelta:
        """The requested duration."""
        return timedelta(seconds=self.recorded.details.get("duration_seconds") or 0)

    @property
    def scheduled_end_at(self) -> datetime | None:
        """The time at which the wait ends."""
        moment: datetime | None = self.recorded.details.get("scheduled_end_at")
        return moment


class CallbackView(OperationView):
    """A callback. Its result is the text that was sent, read as JSON if it is JSON."""

    kind = "callback"

    @property
    def callback_id(self) -> str:
        """The id that completes the callback."""
        return str(self.recorded.details.get("callback_id") or "")

    @property
    def timeout(self) -> timedelta | None:
        """The time-out of the callback; None when it has none."""
        return _duration(self.recorded.details, "timeout_seconds")

    @property
    def heartbeat_timeout(self) -> timedelta | None:
        """The longest time between heartbeats; None when there is no limit."""
        return _duration(self.recorded.details, "heartbeat_timeout_seconds")


class InvokeView(OperationView):
    """A call of a function with `ctx.invoke`."""

    kind = "invoke"

    @property
    def function_name(self) -> str:
        """The name or ARN of the invoked function."""
        return str(self.recorded.details.get("function_name") or "")

    @property
    def payload(self) -> Any:
        """The payload of the call, read as JSON."""
        return read_payload(self.recorded.input)

    @property
    def tenant_id(self) -> str | None:
        """The tenant id of the call; None when there is none."""
        found: str | None = self.recorded.details.get("tenant_id")
        return found

    @property
    def execution_arn(self) -> str | None:
        """ARN of the execution that the call started; None when the function is not durable."""
        found: str | None = self.recorded.details.get("child_execution_arn")
        return found


class Lookup:
    """Look-ups in an execution or a context, at any depth.

    Each method takes the name of the operation, or its path (relative to this object or to the handler, for example
    `notify#3/email`), or neither when there is only one of its kind. If several operations match, `index` selects one: 0 is
    the first in call order, -1 the last.

    Raises:
        OperationNotFoundError: No operation matches, or several match and there is no index. The message lists the
            operations that exist.
    """

    @property
    def path(self) -> str:
        """The path that look-ups start from."""
        raise NotImplementedError

    @property
    def operations(self) -> "Sequence[OperationView]":
        """The operations that look-ups search."""
        raise NotImplementedError

    def operation(
        self, name: str | None = None, *, path: str | None = None, index: int | None = None
    ) -> "OperationView":
        """An operation of any kind."""
        return self._find(OperationView, "operation", name, path, index)

    def step(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "StepView":
        """A step."""
        return self._find(StepView, "step", name, path, index)

    def condition(
        self, name: str | None = None, *, path: str | None = None, index: int | None = None
    ) -> "ConditionView":
        """A `wait_for_condition`."""
        return self._find(ConditionView, "wait_for_condition", name, path, index)

    def wait(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "WaitView":
        """A wait."""
        return self._find(WaitView, "wait", name, path, index)

    def callback(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "CallbackView":
        """A callback. The name of a `wait_for_callback` finds the callback inside it."""
        return self._find(CallbackView, "callback", name, path, index)

    def invoke(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "InvokeView":
        """A call of a function with `ctx.invoke`."""
        return self._find(InvokeView, "invoke", name, path, index)

    def context(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "ContextView":
        """A child context, a branch, a map or parallel, or the context of a `wait_for_callback`."""
        return self._find(ContextView, "context", name, path, index)

    def batch(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "BatchView":
        """A map or parallel."""
        return self._find(BatchView, "map or parallel", name, path, index)

    def fits(self, view: "OperationView", name: str | None = None, path: str | None = None) -> bool:
        """Whether an operation matches a name and a path."""
        if path is not None and view.path not in (path, f"{self.path}/{path}", f"{self.path}{path}"):
            return False
        return name is None or view.name == name or _is_callback_of(view, name)

    def _find(self, kind: type[V], word: str, name: str | None, path: str | None, index: int | None) -> V:
        of_kind = [view for view in self.operations if isinstance(view, kind)]
        found = [view for view in of_kind if self.fits(view, name, path)]
        wanted = f"{word} {name!r}" if name is not None else f"{word} at {path!r}" if path is not None else word
        if not found:
            raise OperationNotFoundError(f"{self.path} has no {wanted}. {_listed(of_kind, word)}")
        if index is None:
            if len(found) > 1:
                raise OperationNotFoundError(
                    f"{self.path} has {counted(len(found), 'operation')} that match {wanted}: {_paths(found)}. Pass path=, or "
                    "index= to select by call order"
                )
            return found[0]
        try:
            return found[index]
        except IndexError:
            raise OperationNotFoundError(
                f"{self.path} has {counted(len(found), 'operation')} that {plural(len(found), 'matches', 'match')} {wanted}, so index {index} does not exist: "
                f"{_paths(found)}"
            ) from None


def _is_callback_of(view: "OperationView", name: str) -> bool:
    parent = view.parent
    is_inside = parent is not None and parent.subtype == OperationSubType.WAIT_FOR_CALLBACK
    return is_inside and parent is not None and parent.name == name and view.kind == "callback"


def _listed(views: "Sequence[OperationView]", word: str) -> str:
    return f"It has: {_paths(views)}" if views else f"It has no {word} at all"


def _paths(views: "Sequence[OperationView]") -> str:
    shown = ", ".join(view.path for view in views[:MAX_LISTED])
    return shown + (f" and {len(views) - MAX_LISTED} more" if len(views) > MAX_LISTED else "")


class ContextView(OperationView, Lookup):
    """A child context, a branch, or the context of a `wait_for_callback`. Look-ups search all its operations."""

    kind = "context"

    @property
    def children(self) -> list[OperationView]:
        """The operations that the context called directly, in call order."""
        return self._tree.children(self.id)

    @property
    def operations(self) -> list[OperationView]:
        """All operations in the context at any depth, each context before its content."""
        return list(self._tree.below(self.id))


class BatchView(ContextView):
    """A `map` or `parallel`. Its result is a `BatchResult`, or a summary when the result was too large to store."""

    kind = "batch"

    @property
    def branches(self) -> list["ContextView"]:
        """The contexts of its map items or parallel branches, in index order. Virtual contexts are not recorded."""
        found = [child for child in self.children if isinstance(child, ContextView)]
        return sorted(found, key=lambda branch: branch.recorded.position or 0)

    @property
    def completion_reason(self) -> str | None:
        """The reason for its completion; None until it is complete."""
        result = self.result
        if isinstance(result, BatchResult):
            return result.completion_reason.value
        return result.get("completionReason") if isinstance(result, Mapping) else None  # the summary of a large result


class OperationTree:
    """The operations of one execution.

    Attributes:
        root: Path of the root context.
        all: All operations, each context before its content.
        by_id: The operations by id.
    """

    def __init__(self, operations: Sequence[RecordedOperation], root: str) -> None:
        self.root = root
        self.all = [_class_of(operation)(operation, self) for operation in operations]
        self.by_id = {view.id: view for view in self.all}
        self._children: dict[str | None, list[OperationView]] = {}
        for view in self.all:
            parent = view.recorded.parent_id if view.recorded.parent_id in self.by_id else None
            self._children.setdefault(parent, []).append(view)

    def children(self, parent_id: str | None) -> list[OperationView]:
        """The operations of one context; None for the root."""
        return list(self._children.get(parent_id, ()))

    def below(self, parent_id: str | None) -> Iterator[OperationView]:
        """All operations in a context, at any depth."""
        stack = self._children.get(parent_id, [])[::-1]
        while stack:
            view = stack.pop()
            yield view
            stack.extend(self._children.get(view.id, [])[::-1])


def read_payload(text: str | None) -> Any:
    """The value of a stored text, as far as it can be restored without knowing its type."""
    if text is None:
        return None
    try:
        return tagged.loads(text)
    except SerializationError:
        return text


def _class_of(operation: RecordedOperation) -> type[OperationView]:
    match operation.type:
        case OperationType.STEP:
            return ConditionView if operation.subtype == OperationSubType.WAIT_FOR_CONDITION else StepView
        case OperationType.WAIT:
            return WaitView
        case OperationType.CALLBACK:
            return CallbackView
        case OperationType.CHAINED_INVOKE:
            return InvokeView
        case OperationType.CONTEXT:
            return BatchView if operation.subtype in BATCHES else ContextView
        case OperationType.EXECUTION:
            return OperationView


def _duration(details: Mapping[str, Any], member: str) -> timedelta | None:
    seconds = details.get(member)
    return timedelta(seconds=seconds) if seconds else None
