"""Builds the state for an invocation from a recording, with calls removed or inserted.

Ids are positional. To see which calls follow an inserted or removed call, the recorded operations after it move to the ids
they would then have. This also makes executions of SDKs with different id schemes replayable: their operations get this
SDK's ids, position by position.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from durable_execution.comparison.call_tree import FOREIGN_CONTEXT
from durable_execution.divergence import Divergence, DivergenceKind, Severity
from durable_execution.history.positions import MAIN, ScopePath, scope_prefix
from durable_execution.history.recorded import RecordedExecution, RecordedOperation, is_rebuilt
from durable_execution.operations.replay_safe import PATCH_PREFIX, patch_id
from durable_execution.protocol import (
    ErrorObject,
    OperationStatus,
    OperationType,
    Wire,
    operation_id,
)
from durable_execution.protocol.enums import BATCHES, PATCH
from durable_execution.protocol.operation import DETAILS_MEMBER, to_millis

EXECUTION_ID = "recorded-execution"
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
FAR_FUTURE_MS = 253_402_300_799_000

ContextKey = tuple[str | None, ScopePath]
"""A task scope: the recorded id of its CONTEXT operation (None is the root), and its task numbers within the context."""

ROOT: ContextKey = (None, MAIN)


@dataclass(slots=True)
class Slot:
    """One position for a call in a context.

    Attributes:
        operation: The operation recorded there; None when the position is empty.
        is_room: Whether the position was inserted for a call that is not recorded.
        skipped: An end for the context in this room, should its body fail to run.
    """

    operation: RecordedOperation | None
    is_room: bool = False
    skipped: RecordedOperation | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The origin of an operation in the state.

    Attributes:
        context: The task scope.
        index: Index in the task scope's slots.
        prefix: Id that prefixes the task scope's ids in the state; None for the root.
    """

    context: ContextKey
    index: int
    prefix: str | None


@dataclass(slots=True)
class RecordedState:
    """A recording, arranged as slots.

    Attributes:
        execution: The recording.
        slots: The calls of each task scope in call order; of a map or parallel, by branch index.
        places: The origin of each operation of the last state, by its id there.
        rooms: Ids, in the last state, of inserted calls.
        contexts: The task scopes, by the id that prefixes their ids in the last state.
        opened: Finished contexts that run again, by recorded id; None is all of them.
        foreign: Operations that other programs wrote into the execution; they enter the state unchanged.
    """

    execution: RecordedExecution
    slots: dict[ContextKey, list[Slot]]
    opened: frozenset[str] | None = frozenset()
    foreign: frozenset[str] = frozenset()
    places: dict[str, Place] = field(default_factory=dict)
    rooms: set[str] = field(default_factory=set)
    contexts: dict[str | None, ContextKey] = field(default_factory=dict)
    _by_id: Mapping[str, RecordedOperation] = field(init=False)

    def __post_init__(self) -> None:
        self._by_id = self.execution.by_id()

    @classmethod
    def of(cls, execution: RecordedExecution, *, opened: frozenset[str] | None = frozenset()) -> "RecordedState":
        """Arrange a recording as slots."""
        groups: dict[ContextKey, list[RecordedOperation]] = {}
        known = {operation.id for operation in execution.operations}
        foreign = execution.foreign()
        for operation in execution.operations:
            if operation.id in foreign:
                continue
            parent = operation.parent_id if operation.parent_id in known else None
            groups.setdefault((parent, operation.details.get("task_scope", MAIN)), []).append(operation)
        return cls(execution, {key: _arranged(group) for key, group in groups.items()}, opened, foreign=foreign)

    def operations(self) -> list[Wire]:
        """Build the state: EXECUTION, then every operation, parents before children."""
        self.places.clear()
        self.rooms.clear()
        self.contexts.clear()
        wires = [self._execution()]
        scopes = self._scopes()
        ids: dict[str, str] = {}
        pending: list[tuple[str | None, str | None]] = [(None, None)]
        while pending:
            recorded, prefix = pending.pop()
            for scope in scopes.get(recorded, (MAIN,)):
                for operation, id_ in self._placed(
                    (recorded, scope), scope_prefix(prefix, scope, ids | _own(recorded, prefix))
                ):
                    ids[operation.id] = id_
                    wires.append(self._wire(operation, id_, prefix))
                    if operation.type is OperationType.CONTEXT:
                        pending.append((operation.id, id_))
        wires.extend(self._unplaced(ids))
        return wires

    def _placed(self, context: ContextKey, prefix: str | None) -> Iterator[tuple[RecordedOperation, str]]:
        """Yield the operations of a task scope with their ids in the state."""
        self.contexts[prefix] = context
        first = 0 if self._is_batch(context) else 1
        for index, slot in enumerate(self.slots.get(context, ())):
            id_ = operation_id(prefix, index + first)
            self.places[id_] = Place(context, index, prefix)
            if slot.is_room:
                self.rooms.add(id_)
            if slot.operation is not None:
                yield slot.operation, id_

    def _unplaced(self, ids: Mapping[str, str]) -> Iterator[Wire]:
        """Yield foreign operations unchanged, and patch markers under the new id of their context."""
        for recorded in sorted(self.foreign):
            operation = self._by_id[recorded]
            parent = ids.get(operation.parent_id or "")
            id_ = recorded
            if operation.subtype == PATCH and parent is not None and parent != operation.parent_id:
                id_ = patch_id(parent, (operation.name or "").removeprefix(PATCH_PREFIX))
            if id_ not in self.places:
                yield self._wire(operation, id_, parent)

    def find(self, id_: str) -> RecordedOperation | None:
        """Return the operation recorded at an id of the last state."""
        place = self.places.get(id_)
        return self.slots[place.context][place.index].operation if place else None

    def siblings(self, context: ContextKey) -> list[ContextKey]:
        """Return the sibling branches of a map item or parallel branch; empty for any other context."""
        recorded_id, scope = context
        if recorded_id is None:
            return []
        if scope and self._subtype(recorded_id) in BATCHES:
            return [key for key in self.slots if key[0] == recorded_id and key[1] not in (MAIN, scope)]
        operation = self._by_id.get(recorded_id)
        if operation is None or not operation.is_branch:
            return []
        others = self.slots.get((operation.parent_id, MAIN), ())
        ids = [slot.operation.id for slot in others if slot.operation is not None]
        return [(id_, MAIN) for id_ in ids if id_ != recorded_id and (id_, MAIN) in self.slots]

    def take_out(self, context: ContextKey, start: int, stop: int) -> None:
        """Remove the calls of a task scope from index `start` up to, but not including, `stop`."""
        del self.slots[context][start:stop]

    def put(self, context: ContextKey, index: int, slot: Slot) -> None:
        """Add a call at an empty position after the recorded ones."""
        slots = self.slots.setdefault(context, [])
        slots.extend(Slot(None) for _ in range(len(slots), index + 1))
        slots[index] = slot

    def _scopes(self) -> Mapping[str | None, list[ScopePath]]:
        """Return the task scopes of each context, its own code's first."""
        found: dict[str | None, list[ScopePath]] = {}
        for recorded, scope in self.slots:
            found.setdefault(recorded, [MAIN]).append(scope)
        return {
            recorded: sorted(set(scopes), key=lambda scope: (len(scope), scope)) for recorded, scopes in found.items()
        }

    def _is_batch(self, context: ContextKey) -> bool:
        return context[1] == MAIN and context[0] is not None and self._subtype(context[0]) in BATCHES

    def _subtype(self, recorded_id: str) -> str | None:
        operation = self._by_id.get(recorded_id)
        return operation.subtype if operation else None

    def _is_opened(self, operation: RecordedOperation) -> bool:
        return operation.type is OperationType.CONTEXT and (self.opened is None or operation.id in self.opened)

    def _execution(self) -> Wire:
        execution = self.execution
        return {
            "Id": EXECUTION_ID,
            "Type": OperationType.EXECUTION.value,
            "Status": OperationStatus.STARTED.value,
            "StartTimestamp": to_millis(execution.started_at or EPOCH),
            "ExecutionDetails": {"InputPayload": execution.input if execution.input is not None else "{}"},
        }

    def _wire(self, operation: RecordedOperation, id_: str, parent: str | None) -> Wire:
        status = self._status(operation)
        wire: Wire = {
            "Id": id_,
            "Type": operation.type.value,
            "Status": status.value,
            "StartTimestamp": to_millis(operation.started_at or EPOCH),
            DETAILS_MEMBER[operation.type]: _details(operation, status),
        }
        if parent is not None:
            wire["ParentId"] = parent
        if operation.name is not None:
            wire["Name"] = operation.name
        if operation.subtype is not None and operation.subtype != FOREIGN_CONTEXT:
            wire["SubType"] = operation.subtype
        if operation.ended_at is not None and status.is_terminal:
            wire["EndTimestamp"] = to_millis(operation.ended_at)
        return wire

    def _status(self, operation: RecordedOperation) -> OperationStatus:
        """Return the recorded status; a running step appears to wait for a next attempt that never comes."""
        if operation.type is OperationType.STEP and not operation.status.is_terminal:
            return OperationStatus.PENDING
        if self._is_opened(operation) and operation.status.is_terminal:
            return OperationStatus.STARTED
        return operation.status


def _own(recorded: str | None, present: str | None) -> dict[str, str]:
    return {recorded: present} if recorded is not None and present is not None else {}


def _arranged(operations: list[RecordedOperation]) -> list[Slot]:
    """Arrange operations by recorded position; without positions, in recorded order."""
    positions = [operation.position for operation in operations]
    if any(position is None for position in positions) or len(set(positions)) < len(positions):
        return [Slot(operation) for operation in operations]
    first = 0 if operations[0].is_branch else 1
    last = max(position for position in positions if position is not None)
    if last - first > 4 * len(operations) + 1000:
        return [Slot(operation) for operation in operations]
    slots = [Slot(None) for _ in range(first, last + 1)]
    for operation in operations:
        if operation.position is not None:
            slots[operation.position - first] = Slot(operation)
    return slots


def _details(operation: RecordedOperation, status: OperationStatus) -> dict[str, Any]:
    details: dict[str, Any] = {}
    match operation.type:
        case OperationType.STEP:
            details["Attempt"] = _attempts(operation, status)
            if status is OperationStatus.PENDING:
                details["NextAttemptTimestamp"] = FAR_FUTURE_MS
        case OperationType.WAIT:
            end = operation.details.get("scheduled_end_at") or operation.ended_at
            details["ScheduledEndTimestamp"] = to_millis(end) if end else FAR_FUTURE_MS
        case OperationType.CALLBACK:
            details["CallbackId"] = operation.details.get("callback_id") or f"recorded-{operation.id[:16]}"
        case OperationType.CONTEXT if status is OperationStatus.SUCCEEDED:
            details["ReplayChildren"] = is_rebuilt(operation)
        case _:
            pass
    if operation.result is not None:
        details["Result"] = operation.result
    error: ErrorObject | None = operation.error
    if error is not None:
        details["Error"] = error.to_wire()
    elif status in (OperationStatus.FAILED, OperationStatus.TIMED_OUT):
        details["Error"] = {"ErrorMessage": "the error was not recorded", "ErrorType": "Error"}
    return details


def _attempts(operation: RecordedOperation, status: OperationStatus) -> int:
    if status.is_terminal:
        return operation.attempts[-1].number if operation.attempts else 1
    return sum(1 for attempt in operation.attempts if attempt.ended_at is not None)


def contexts_around(divergence: Divergence, execution: RecordedExecution) -> list[str]:
    """Return the ids of the recorded contexts around a difference, found by its path."""
    by_path = {
        operation.path: operation.id for operation in execution.operations if operation.type is OperationType.CONTEXT
    }
    root = divergence.context_path.partition("/")[0]
    found: list[str] = []
    is_itself = divergence.kind is DivergenceKind.RESULT or divergence.is_permutation
    rest = divergence.path if is_itself else divergence.context_path
    while rest and rest != root:
        recorded = by_path.get(rest)
        if recorded is not None:
            found.append(recorded)
        rest = rest[: max(*(rest.rfind(mark) for mark in "/#~"), 0)]
    return found


def contexts_to_open(divergences: Iterable[Divergence], execution: RecordedExecution) -> frozenset[str]:
    """Return the ids of the finished contexts that must run again to show the first differences."""
    ended = {one.id for one in execution.operations if one.type is OperationType.CONTEXT and one.status.is_terminal}
    roots = [one for one in divergences if one.is_root and one.severity is not Severity.INFO]
    return frozenset(id_ for one in roots for id_ in contexts_around(one, execution) if id_ in ended)


def missing_data(execution: RecordedExecution) -> int:
    """Count the payloads that are missing from the recording."""
    count = sum(1 for operation in execution.operations if operation.details.get("result_truncated"))
    if execution.events and execution.input is None:
        count += 1
    return count
