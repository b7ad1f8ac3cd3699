"""Run-time detection: what a mismatch is, worked out from the call and the recorded operations around it.

The runtime compares each call with the recorded operation at its id, a few comparisons on the hot path. Only when they
differ does it ask here, so this may look around. With the one call at hand and nothing of what the code would have
called next, some kinds can only be told apart by likelihood; the `Replayer` sees the calls after it and knows better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from durable_execution.observers import OperationCall
from durable_execution.protocol import Operation, OperationType, operation_id
from durable_execution.protocol.paths import Labels, child_path, kind_of, root_path
from durable_execution.replay.configuration import WAIT_TOLERANCE_SECONDS, difference, divergence_of
from durable_execution.replay.divergence import Divergence, DivergenceKind, Severity, Side
from durable_execution.replay.wording import effect_of, fix_of, likely_of

LOOKAHEAD = 256
"""How many recorded calls ahead to look for the one that was made."""


def matches(call: OperationCall, recorded: Operation) -> bool:
    """Whether a call is the recorded operation: type, subtype, name and parent agree. A subtype may be absent."""
    return (
        recorded.type == call.type
        and (recorded.subtype or call.subtype) == call.subtype
        and recorded.name == call.name
        and recorded.parent_id == call.parent_id
    )


def mismatch_at_call(
    call: OperationCall, recorded: Operation, *, handler: str, operations: Mapping[str, Operation]
) -> Divergence:
    """Say what is wrong with a call whose recorded operation is another one.

    Args:
        call: What the code called.
        recorded: What is recorded at the id of the call.
        handler: `module:qualname` of the handler.
        operations: All recorded operations by id.
    """
    later = _later(call, operations)
    skipped = next((n for n, operation in enumerate(later, start=1) if matches(call, operation)), None)
    kind = _kind(call, recorded, skipped=skipped)
    around = context_path(call, handler)
    path = _recorded_path(call, recorded, around, operations)
    recorded_side = replace(side_of_operation(recorded, position=call.position), path=path)
    replayed_side = side_of_call(call)
    return Divergence(
        kind=kind,
        severity=Severity.ERROR,
        handler=handler,
        path=call.path if kind is DivergenceKind.INSERTED else path,
        context_path=around,
        position=call.position,
        recorded=recorded_side,
        replayed=replayed_side,
        likely=likely_of(kind, recorded_side, replayed_side),
        effect=effect_of(kind, recorded_side, replayed_side, shifted=len(later), by=skipped or 1),
        fix=fix_of(kind, recorded_side, replayed_side),
        follow_on=len(later) if kind in (DivergenceKind.SKIPPED, DivergenceKind.INSERTED) else 0,
    )


def never_called(
    context: str, recorded: Sequence[Operation], *, handler: str, first_position: int | None = None
) -> Divergence:
    """Say that a context finished without calling operations that are recorded in it.

    Args:
        context: Path of the context that finished.
        recorded: The operations it did not call, in recorded order; at least one.
        handler: `module:qualname` of the handler, or the path of its root.
        first_position: Call number of the first of them, where known.
    """
    first = recorded[0]
    path = child_path(context, first.name or Labels().label(kind_of(first.type, first.subtype), None))
    side = replace(side_of_operation(first, position=first_position), path=path)
    return Divergence(
        kind=DivergenceKind.SKIPPED,
        severity=Severity.ERROR,
        handler=handler,
        path=path,
        context_path=context,
        position=first_position,
        recorded=side,
        replayed=None,
        likely=likely_of(DivergenceKind.SKIPPED, side, None),
        effect=effect_of(DivergenceKind.SKIPPED, side, None, shifted=len(recorded) - 1),
        fix=fix_of(DivergenceKind.SKIPPED, side, None),
        follow_on=len(recorded) - 1,
    )


def configuration_mismatch(call: OperationCall, recorded: Operation, *, handler: str) -> Divergence | None:
    """Compare what was asked for with what the execution's state tells; None when nothing comparable differs.

    Args:
        call: What the code called; its type, subtype, name and parent match.
        recorded: What is recorded at its id.
        handler: `module:qualname` of the handler.
    """
    if not call.configuration:
        return None
    found = difference(call.configuration, recorded_configuration(recorded), tolerance=WAIT_TOLERANCE_SECONDS)
    if found is None:
        return None
    left = replace(side_of_operation(recorded, position=call.position), path=call.path)
    return divergence_of(*found, left, side_of_call(call), context_path=context_path(call, handler), handler=handler)


def recorded_configuration(recorded: Operation) -> dict[str, Any]:
    """What the state of an operation tells of its configuration."""
    known: dict[str, Any] = {}
    if recorded.type == OperationType.WAIT and recorded.started_at and recorded.scheduled_end_at:
        known["wait_seconds"] = round((recorded.scheduled_end_at - recorded.started_at).total_seconds())
    return known


def side_of_call(call: OperationCall) -> Side:
    """The replayed side of a difference."""
    return Side(
        type=call.type,
        subtype=call.subtype,
        name=call.name,
        id=call.id,
        position=call.position,
        call_site=call.call_site,
        configuration=call.configuration or {},
        detail=f"flat branch {call.position}, without a context of its own" if call.is_virtual else None,
        path=call.path,
    )


def side_of_operation(recorded: Operation, *, position: int | None = None, invocation: int | None = None) -> Side:
    """The recorded side of a difference, from an operation of the execution's state."""
    return Side(
        type=str(recorded.type),
        subtype=recorded.subtype,
        name=recorded.name,
        id=recorded.id,
        position=position,
        status=str(recorded.status),
        invocation=invocation,
        configuration=recorded_configuration(recorded),
    )


def context_path(call: OperationCall, handler: str) -> str:
    """Path of the context a call was made in."""
    path, slash, _ = call.path.rpartition("/")
    if slash and not call.path.endswith(f"#{call.position}"):
        return path
    return call.path.rpartition("#")[0] or root_path(handler)


def _kind(call: OperationCall, recorded: Operation, *, skipped: int | None) -> DivergenceKind:
    if call.is_virtual:
        return DivergenceKind.CHANGED_KIND
    if skipped is not None:
        return DivergenceKind.SKIPPED
    is_same_type = recorded.type == call.type and (recorded.subtype or call.subtype) == call.subtype
    if is_same_type:
        return DivergenceKind.RENAMED if recorded.name != call.name else DivergenceKind.CHANGED_KIND
    if recorded.name == call.name or not recorded.name or not call.name:
        return DivergenceKind.CHANGED_KIND
    return DivergenceKind.INSERTED


def _recorded_path(call: OperationCall, recorded: Operation, around: str, operations: Mapping[str, Operation]) -> str:
    """Path of what is recorded in the place of a call: its label counts the calls recorded before it."""
    if call.path.endswith(f"#{call.position}"):
        return call.path
    labels = Labels()
    for position in range(1, call.position):
        before = operations.get(operation_id(call.context_id, position))
        if before is not None:
            labels.label(kind_of(before.type, before.subtype), before.name)
    return child_path(around, labels.label(kind_of(recorded.type, recorded.subtype), recorded.name))


def _later(call: OperationCall, operations: Mapping[str, Operation]) -> list[Operation]:
    """The recorded operations behind the call in its context."""
    found: list[Operation] = []
    for position in range(call.position + 1, call.position + 1 + LOOKAHEAD):
        operation = operations.get(operation_id(call.context_id, position))
        if operation is None:
            break
        found.append(operation)
    return found
