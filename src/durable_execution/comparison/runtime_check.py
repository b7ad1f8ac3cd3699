"""Run-time detection: classifies a mismatch from the call and the recorded operations around it.

The runtime compares each call with the recorded operation at its id, which takes a few comparisons on the hot path. It
calls this module only when they differ, so the code here may be slower. The runtime does not know which calls the code
would make next, so the kind it reports can be a guess; the `Replayer` sees the later calls and is more exact.

Compares the configuration of a call with the recorded one: wait lengths, targets, payloads, timeouts, branches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from durable_execution.comparison.call_tree import CallNode, comparable_texts, is_same_function, is_same_json
from durable_execution.comparison.wording import effect_of, fix_of, likely_of
from durable_execution.counts import enumerated, plural
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side, readable_pair
from durable_execution.protocol import Operation, OperationType, Wire, operation_id
from durable_execution.protocol.ids import Labels, child_path, kind_of, root_path
from durable_execution.trace.arguments import changed_arguments, changed_items, key_for, listed

if TYPE_CHECKING:  # what only compares two recordings loads nothing that observes
    from durable_execution.observers import OperationCall

LOOKAHEAD = 256
"""How many recorded calls ahead to search for the call that was made."""


def matches(call: "OperationCall", recorded: Operation) -> bool:
    """Whether a call matches the recorded operation in type, subtype (if recorded), name and parent."""
    return (
        recorded.type == call.type
        and (recorded.subtype or call.subtype) == call.subtype
        and recorded.name == call.name
        and recorded.parent_id == call.parent_id
    )


def mismatch_at_call(
    call: "OperationCall", recorded: Operation, *, handler: str, operations: Mapping[str, Operation]
) -> Divergence:
    """Describe a call whose id belongs to a different recorded operation.

    Args:
        call: The call that the code made.
        recorded: The operation recorded at the id of the call.
        handler: `module:qualname` of the handler.
        operations: All recorded operations by id.
    """
    later = _later(call, operations)
    skipped = next((n for n, operation in enumerate(later, start=1) if matches(call, operation)), None)
    kind = _kind(call, recorded, skipped=skipped)
    shifted = _shifted(kind, later, skipped)
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
        effect=effect_of(kind, recorded_side, replayed_side, shifted=shifted, by=skipped or 1),
        fix=fix_of(kind, recorded_side, replayed_side),
        follow_on=shifted,
    )


def never_called(
    context: str,
    recorded: Sequence[Operation],
    *,
    handler: str,
    first_position: int | None = None,
    taker: "OperationCall | None" = None,
) -> Divergence:
    """Describe a context that finished, or whose number a different call took, without making calls recorded in it.

    Args:
        context: Path of the context that finished.
        recorded: The operations that were not called, in recorded order; at least one.
        handler: `module:qualname` of the handler, or the path of its root.
        first_position: Call number of the first of them, where known.
        taker: The call that has the number of their context now.
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
        replayed=side_of_call(taker) if taker is not None else None,
        likely=likely_of(DivergenceKind.SKIPPED, side, None),
        effect=effect_of(DivergenceKind.SKIPPED, side, None, shifted=len(recorded) - 1),
        fix=fix_of(DivergenceKind.SKIPPED, side, None),
        follow_on=len(recorded) - 1,
    )


def configuration_mismatch(call: "OperationCall", recorded: Operation, *, handler: str) -> Divergence | None:
    """Compare the configuration of a call with the execution's state. Returns None if no comparable member differs.

    Args:
        call: The call that the code made; its type, subtype, name and parent match.
        recorded: The operation recorded at its id.
        handler: `module:qualname` of the handler.
    """
    found = _configuration_difference(call.configuration, recorded)
    if found is None:
        return None
    left = replace(side_of_operation(recorded, position=call.position), path=call.path)
    return divergence_of(*found, left, side_of_call(call), context_path=context_path(call, handler), handler=handler)


def is_configured_as_recorded(configuration: Mapping[str, Any], recorded: Wire) -> bool:
    """Tell whether a call's configuration agrees with what the state of the operation reveals."""
    return _configuration_difference(configuration, Operation(recorded)) is None


def _configuration_difference(
    configuration: Mapping[str, Any] | None, recorded: Operation
) -> tuple[str, Any, Any] | None:
    if not configuration:
        return None
    return difference(configuration, recorded_configuration(recorded), tolerance=WAIT_TOLERANCE_SECONDS)


def recorded_configuration(recorded: Operation) -> dict[str, Any]:
    """Return the configuration that the state of an operation reveals."""
    known: dict[str, Any] = {}
    if recorded.type == OperationType.WAIT and recorded.started_at and recorded.scheduled_end_at:
        known["wait_seconds"] = round((recorded.scheduled_end_at - recorded.started_at).total_seconds())
    return known


def side_of_call(call: "OperationCall") -> Side:
    """Return a call as the replayed side of a difference."""
    return Side(
        type=call.type,
        subtype=call.subtype,
        name=call.name,
        id=call.id,
        position=call.position,
        call_site=call.call_site,
        configuration=call.configuration or {},
        detail=f"virtual branch {call.position}, without a record of its own" if call.is_virtual else None,
        path=call.path,
    )


def side_of_operation(recorded: Operation, *, position: int | None = None, invocation: int | None = None) -> Side:
    """Return an operation of the execution's state as the recorded side of a difference."""
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


def context_path(call: "OperationCall", handler: str) -> str:
    """Return the path of the context in which a call was made."""
    path, slash, _ = call.path.rpartition("/")
    if slash and not call.path.endswith(f"#{call.position}"):
        return path
    return call.path.rpartition("#")[0] or root_path(handler)


def _kind(call: "OperationCall", recorded: Operation, *, skipped: int | None) -> DivergenceKind:
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


def _shifted(kind: DivergenceKind, later: Sequence[Operation], skipped: int | None) -> int:
    """How many calls, from the first recorded one on, would get the recorded result of a different call."""
    if kind is DivergenceKind.SKIPPED:
        return len(later) + 1 - (skipped or 1)
    return len(later) + 1 if kind is DivergenceKind.INSERTED else 0


def _recorded_path(call: "OperationCall", recorded: Operation, around: str, operations: Mapping[str, Operation]) -> str:
    """Path of the operation recorded at a call's position. Its label counts the calls recorded before it."""
    if call.path.endswith(f"#{call.position}"):
        return call.path
    labels = Labels()
    for position in range(1, call.position):
        before = operations.get(operation_id(call.context_id, position))
        if before is not None:
            labels.label(kind_of(before.type, before.subtype), before.name)
    return child_path(around, labels.label(kind_of(recorded.type, recorded.subtype), recorded.name))


def _later(call: "OperationCall", operations: Mapping[str, Operation]) -> list[Operation]:
    """The operations recorded after the call in its context."""
    found: list[Operation] = []
    for position in range(call.position + 1, call.position + 1 + LOOKAHEAD):
        operation = operations.get(operation_id(call.context_id, position))
        if operation is None:
            break
        found.append(operation)
    return found


WAIT_TOLERANCE_SECONDS = 1
"""A wait's length may have to be computed from its start and end, which are both rounded."""
TIMEOUTS = ("timeout_seconds", "heartbeat_timeout_seconds")
KINDS = {"branches": DivergenceKind.BRANCH_COUNT, "input": DivergenceKind.INPUT}
SHOWN_IN_LABEL = ("wait_seconds", "branches", "function_name")
MAX_VALUE_SHOWN = 80


def configuration_divergence(
    recorded: CallNode, replayed: CallNode, *, context_path: str, handler: str
) -> Divergence | None:
    """Return the first difference between the known configurations of two calls."""
    found = difference(replayed.known, recorded.known, is_partial=recorded.is_partial)
    if found is None:
        return None
    one = divergence_of(*found, recorded.side, replayed.side, context_path=context_path, handler=handler)
    if found[0] in SHOWN_IN_LABEL or one.recorded is None or one.replayed is None:
        return one
    return replace(
        one,
        recorded=replace(one.recorded, value=str(found[2])),
        replayed=replace(one.replayed, value=str(found[1])),
    )


def given_divergence(recorded: CallNode, replayed: CallNode, *, context_path: str, handler: str) -> Divergence | None:
    """Compare the arguments and items of a finished call with the digests in the replay trace."""
    left, right = recorded.given, replayed.given
    if left is None or right is None or "texts" not in right or not recorded.is_ended:
        return None
    key = key_for(left["of"])
    names, recorded_as = changed_arguments(left["arguments"], right["texts"], key), ""
    if names and is_same_function(recorded, replayed) is not False:
        word = f"{plural(len(names), 'argument')} {enumerated(names)}"
        what = f"a different value of {enumerated(names)}"
    elif left["items"] is not None and right["items"] is not None:
        changed, is_order = changed_items(left["items"], right["items"], key)
        if not changed:
            return None
        word, what, recorded_as = "items", "the same items in a different order", "in the recorded order"
        if not is_order:
            what, recorded_as = f"{plural(len(changed), 'a different', 'different')} {listed(changed)}", ""
    else:
        return None
    kind = DivergenceKind.INPUT
    before, after = recorded.side, replayed.side
    return Divergence(
        kind=kind,
        severity=Severity.WARNING,
        handler=handler,
        path=before.path or after.path or context_path,
        context_path=context_path,
        position=after.position,
        recorded=replace(before, detail=f"{before.label}, {recorded_as or word}"),
        replayed=replace(after, detail=f"{after.label}, {what}"),
        likely=likely_of(kind, before, after),
        effect=effect_of(kind, before, after, word=word),
        fix=fix_of(kind, before, after, word="argument").replace("the argument", f"the {word}"),
    )


def difference(
    asked: Mapping[str, Any], known: Mapping[str, Any], *, is_partial: bool = False, tolerance: int = 0
) -> tuple[str, Any, Any] | None:
    """Return the first member that differs: its name, the replayed value, the recorded value.

    Args:
        asked: Configuration of the replayed call.
        known: Recorded configuration.
        is_partial: Whether a map or parallel may have had more branches than are recorded.
        tolerance: How much a wait's length may differ, in seconds.
    """
    without = {word: None for word in TIMEOUTS if word in known}  # a missing timeout is compared as well
    for word, wanted in {**without, **asked}.items():
        if word == "wait_seconds" and asked.get("has_jitter"):
            continue  # the delay of a retry is random
        if word in known and not _is_same(word, wanted, known[word], is_partial=is_partial, tolerance=tolerance):
            return word, wanted, known[word]
    return None


def divergence_of(
    word: str, asked: Any, known: Any, recorded: Side, replayed: Side, *, context_path: str, handler: str
) -> Divergence:
    """Return the difference as a divergence. A changed number of branches is an error, all else a warning."""
    kind = KINDS.get(word, DivergenceKind.CONFIGURATION)
    before, after = readable_pair(*comparable_texts(str(known), str(asked)), limit=MAX_VALUE_SHOWN)
    left, right = _shown(recorded, word, known, before), _shown(replayed, word, asked, after)
    return Divergence(
        kind=kind,
        severity=Severity.ERROR if kind is DivergenceKind.BRANCH_COUNT else Severity.WARNING,
        handler=handler,
        path=recorded.path or replayed.path or context_path,
        context_path=context_path,
        position=replayed.position,
        recorded=left,
        replayed=right,
        likely=likely_of(kind, recorded, replayed),
        effect=effect_of(kind, recorded, replayed, word=word),
        fix=fix_of(kind, recorded, replayed, word=word),
    )


def target_of(function_name: str) -> str:
    """Return the name of an invoked function without account, region and qualifier, which differ between environments."""
    parts = function_name.split(":")
    if "function" in parts[:-1]:
        return parts[parts.index("function") + 1]
    return parts[0]


def _is_same(word: str, asked: Any, known: Any, *, is_partial: bool, tolerance: int) -> bool:
    if word == "wait_seconds":
        return bool(abs(asked - known) <= tolerance)
    if word == "branches" and is_partial:
        return bool(known <= asked)  # the other branches may still start
    if word in TIMEOUTS:
        return (asked or 0) == (known or 0)
    if word == "function_name":
        return target_of(str(asked)) == target_of(str(known))
    if word == "input":
        return is_same_json(asked, known)
    return bool(asked == known)


def _shown(side: Side, word: str, value: Any, text: str) -> Side:
    configuration = {key: item for key, item in side.configuration.items() if key != "input"}
    if word in SHOWN_IN_LABEL:
        return replace(side, configuration={**configuration, word: value})
    if word in TIMEOUTS:
        name = word.removesuffix("_seconds").replace("_", " ")
        text = f"{name} {text} s" if value else f"no {name}"
    else:
        text = f"{word.replace('_', ' ')} {text}"
    return replace(side, configuration=configuration, detail=f"{side.label}, {text}")
