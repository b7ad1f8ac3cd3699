"""Operations of an execution as a test looks at them: one class for each kind, made from the history."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from durable_execution.batch_result import BatchResult
from durable_execution.errors import SerializationError
from durable_execution.observers import CallSite
from durable_execution.protocol import ErrorObject, OperationStatus, OperationSubType, OperationType
from durable_execution.replay.recorded import RecordedAttempt, RecordedOperation
from durable_execution.serdes import tagged
from durable_execution.serdes.codec import typed_codec
from durable_execution.testing.lookup import Lookup

T = TypeVar("T")

BATCHES = frozenset({OperationSubType.MAP.value, OperationSubType.PARALLEL.value})


class OperationView:
    """One operation.

    Attributes:
        recorded: Everything that is recorded of it.
    """

    kind = "operation"

    def __init__(self, recorded: RecordedOperation, tree: "OperationTree") -> None:
        self.recorded = recorded
        self._tree = tree

    def __repr__(self) -> str:
        return f"<{self.kind} {self.path} {self.status}>"

    @property
    def id(self) -> str:
        """Its id."""
        return self.recorded.id

    @property
    def name(self) -> str | None:
        """Its name; None when it has none."""
        return self.recorded.name

    @property
    def path(self) -> str:
        """Readable place, for example `process_order/notify#3/email`."""
        return self.recorded.path

    @property
    def operation_type(self) -> OperationType:
        """What it is to the service."""
        return self.recorded.type

    @property
    def subtype(self) -> str | None:
        """What it is for, as recorded."""
        return self.recorded.subtype

    @property
    def status(self) -> OperationStatus:
        """Where it stands."""
        return self.recorded.status

    @property
    def started_at(self) -> datetime | None:
        """When it started."""
        return self.recorded.started_at

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None while it has not."""
        return self.recorded.ended_at

    @property
    def error(self) -> ErrorObject | None:
        """Why it failed."""
        return self.recorded.error

    @property
    def call_site(self) -> CallSite | None:
        """Where the code called it; None unless a replay trace was recorded."""
        return self.recorded.call_site

    @property
    def raw_result(self) -> str | None:
        """The result as it is stored."""
        return self.recorded.result

    @property
    def result(self) -> Any:
        """The result, read as JSON: models and dataclasses are dictionaries. Text that is no JSON is given as it is."""
        return read_payload(self.recorded.result)

    def result_as(self, annotation: type[T]) -> T:
        """The result as a value of a type: a pydantic model, a dataclass, an enum.

        Raises:
            SerializationError: There is none, or it is none of that type.
        """
        if self.recorded.result is None:
            raise SerializationError(f"{self.path} has no result: it is {self.status}", operation=self.path)
        value: T = typed_codec(annotation).decode(self.recorded.result)
        return value

    @property
    def parent(self) -> "ContextView | None":
        """The context it belongs to; None at the top."""
        found = self._tree.by_id.get(self.recorded.parent_id or "")
        return found if isinstance(found, ContextView) else None


class StepView(OperationView):
    """A step."""

    kind = "step"

    @property
    def attempts(self) -> Sequence[RecordedAttempt]:
        """Its attempts, in order: number, times, outcome, result or error, and the delay before the next."""
        return self.recorded.attempts

    @property
    def attempt_count(self) -> int:
        """How many attempts were started."""
        return len(self.recorded.attempts)

    @property
    def delays(self) -> list[timedelta]:
        """The pauses between its attempts, as they were asked for."""
        seconds = (attempt.next_attempt_delay_seconds for attempt in self.recorded.attempts)
        return [timedelta(seconds=delay) for delay in seconds if delay is not None]


class ConditionView(StepView):
    """A `wait_for_condition`: its attempts are its checks."""

    kind = "condition"

    @property
    def states(self) -> list[Any]:
        """What each check returned, in order."""
        return [read_payload(attempt.result) for attempt in self.recorded.attempts if attempt.outcome == "SUCCEEDED"]


class WaitView(OperationView):
    """A wait."""

    kind = "wait"

    @property
    def duration(self) -> timedelta:
        """How long it was asked to be."""
        return timedelta(seconds=self.recorded.details.get("duration_seconds") or 0)

    @property
    def scheduled_end_at(self) -> datetime | None:
        """When it is over."""
        moment: datetime | None = self.recorded.details.get("scheduled_end_at")
        return moment


class CallbackView(OperationView):
    """A callback. Its result is the text that was sent, read as JSON where it is JSON."""

    kind = "callback"

    @property
    def callback_id(self) -> str:
        """What completes it."""
        return str(self.recorded.details.get("callback_id") or "")

    @property
    def timeout(self) -> timedelta | None:
        """How long it may take; None for ever."""
        return _duration(self.recorded.details, "timeout_seconds")

    @property
    def heartbeat_timeout(self) -> timedelta | None:
        """How long it may be silent; None for ever."""
        return _duration(self.recorded.details, "heartbeat_timeout_seconds")


class InvokeView(OperationView):
    """A call of another function."""

    kind = "invoke"

    @property
    def function_name(self) -> str:
        """What was called."""
        return str(self.recorded.details.get("function_name") or "")

    @property
    def payload(self) -> Any:
        """What it was called with, read as JSON."""
        return read_payload(self.recorded.input)

    @property
    def tenant_id(self) -> str | None:
        """The tenant it was called for."""
        found: str | None = self.recorded.details.get("tenant_id")
        return found

    @property
    def execution_arn(self) -> str | None:
        """The execution it started; None when the function is not durable."""
        found: str | None = self.recorded.details.get("child_execution_arn")
        return found


class ContextView(OperationView, Lookup):
    """A child context, a branch, or the context of a `wait_for_callback`. Look-ups search everything in it."""

    kind = "context"

    @property
    def children(self) -> list[OperationView]:
        """What it called itself, in call order."""
        return self._tree.children(self.id)

    @property
    def operations(self) -> list[OperationView]:
        """Everything in it, at any depth, a context before what it holds."""
        return list(self._tree.below(self.id))


class BatchView(ContextView):
    """A `map` or `parallel`. Its result is a `BatchResult`; when that was too large to keep, what is known of it."""

    kind = "batch"

    @property
    def branches(self) -> list["ContextView"]:
        """Its items or branches in index order; none when they are flat."""
        found = [child for child in self.children if isinstance(child, ContextView)]
        return sorted(found, key=lambda branch: branch.recorded.position or 0)

    @property
    def completion_reason(self) -> str | None:
        """Why it was complete; None while it is not."""
        result = self.result
        if isinstance(result, BatchResult):
            return result.completion_reason.value
        return result.get("completionReason") if isinstance(result, Mapping) else None  # the summary of a large one


class OperationTree:
    """The operations of one execution.

    Attributes:
        root: Path of the root context.
        all: Every operation, a context before what it holds.
        by_id: The same by id.
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
        """Everything in a context, at any depth."""
        stack = self._children.get(parent_id, [])[::-1]
        while stack:
            view = stack.pop()
            yield view
            stack.extend(self._children.get(view.id, [])[::-1])


def read_payload(text: str | None) -> Any:
    """A stored text as a value, as far as that can be told without its type."""
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
