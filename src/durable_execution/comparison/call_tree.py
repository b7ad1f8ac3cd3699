"""The tree of calls: the form in which two sides are compared, recorded and replayed, or two recordings."""

import json
import re
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from durable_execution.divergence import Side
from durable_execution.history.positions import MAIN, ScopePath
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.protocol import OperationSubType, OperationType
from durable_execution.protocol.enums import BATCHES, COMBINATORS, PATCH
from durable_execution.protocol.ids import branch_path
from durable_execution.trace.arguments import changed_arguments, key_for

ANONYMOUS = "<lambda>"
"""Every lambda has this name, so the name does not identify it."""

UNKNOWN_BLOCK = "DurableContext.with_retry.<locals>.block"
"""What traces before version 5 say of every function given to `with_retry`."""

BRANCH_OF: Mapping[str | None, str] = {
    OperationSubType.MAP.value: OperationSubType.MAP_ITERATION.value,
    OperationSubType.PARALLEL.value: OperationSubType.PARALLEL_BRANCH.value,
}
DEFAULT_SUBTYPES = {
    OperationType.STEP.value: OperationSubType.STEP.value,
    OperationType.WAIT.value: OperationSubType.WAIT.value,
    OperationType.CALLBACK.value: OperationSubType.CALLBACK.value,
    OperationType.CHAINED_INVOKE.value: OperationSubType.CHAINED_INVOKE.value,
    OperationType.CONTEXT.value: OperationSubType.RUN_IN_CHILD_CONTEXT.value,
}
LATEST = 2**62
"""Order of a call that has not ended."""

FOREIGN_CONTEXT = "Context"
"""Some SDKs write this subtype for every kind of context, so it carries no information."""

REASON = re.compile(r'completionReason"\s*:\s*(?:\{[^{}]{0,40}"v"\s*:\s*)?"([A-Z_]+)"')


@dataclass(slots=True, eq=False)
class CallNode:
    """One call of one side.

    Attributes:
        side: The call, as a side of a difference.
        children: Calls made inside it; None when they were not examined.
        is_ended: Recorded: the operation has ended. Replayed: its body ran to its end.
        is_virtual: Whether it is a virtual context, which leaves no checkpoint.
        branch: Index of a map item or parallel branch; None for any other call.
        known: The known part of its configuration, under the names of `OperationCall.configuration`, and `input`.
        is_partial: Whether a map or parallel may have had more branches than are recorded.
        is_settled: Recorded: whether an open map or parallel had started every branch that its free slots allow.
        result: Serialized result, where it can be compared.
        body: Fingerprint of the step's body, where known.
        function: Qualified name of the step's function, where known.
        given: Recorded: digests of the arguments and items, with the ARN that is their key. Replayed: their texts.
        is_foreign: Whether the handler did not make this call: another client wrote it, or it is a marker.
        scope: The task scope that numbered it within its context.
        cut_off: Task scopes inside it that were cancelled, such as the loser of a race.
        unfinished: Task scopes inside it that were still running at the end.
        finished: Task scopes inside it that have ended, even if the context has not.
        is_resting: Replayed: whether its code waits for open operations only, so that it makes no further call.
        raised: Replayed: the error that ended its code; None when it returned.
        outcome: How it ended, in a comparison of two recordings; None where that is not compared.
        order: Number of the event that ended it, in a comparison of two recordings; else 0.
    """

    side: Side
    children: "list[CallNode] | None" = field(default_factory=list)
    is_ended: bool = True
    is_virtual: bool = False
    branch: int | None = None
    known: Mapping[str, Any] = field(default_factory=dict)
    is_partial: bool = False
    is_settled: bool = False
    result: str | None = None
    body: str | None = None
    function: str | None = None
    given: Mapping[str, Any] | None = None
    is_foreign: bool = False
    scope: ScopePath = MAIN
    cut_off: set[ScopePath] = field(default_factory=set)
    unfinished: set[ScopePath] = field(default_factory=set)
    finished: set[ScopePath] = field(default_factory=set)
    is_resting: bool = False
    raised: Side | None = None
    outcome: str | None = None
    order: int = 0

    @property
    def is_batch(self) -> bool:
        """Whether its children are branches."""
        return self.side.subtype in BATCHES

    def key(self, *, within: "CallNode", is_loose: bool) -> Hashable:
        """Return what identifies a call: type, subtype and name.

        Args:
            within: The context. The SDK, not the user, names the calls inside a wait_for_callback.
            is_loose: Whether to ignore the subtypes of contexts.
        """
        side = self.side
        is_unnamed = within.side.subtype == OperationSubType.WAIT_FOR_CALLBACK
        subtype = side.subtype or DEFAULT_SUBTYPES.get(side.type)
        if is_loose and side.type == OperationType.CONTEXT:
            subtype = None
        return side.type, subtype, None if is_unnamed else side.name


@dataclass(frozen=True, slots=True)
class Comparing:
    """What holds for a whole comparison.

    Attributes:
        handler: Name of the workflow.
        is_loose: Whether to ignore the subtypes of contexts.
        shared: Functions that calls of different names run, alone and with the digests of their arguments.
    """

    handler: str
    is_loose: bool
    shared: frozenset[Hashable] = frozenset()

    def runs_one_call(self, recorded: CallNode, replayed: CallNode) -> bool:
        """Whether two calls of different names are one: the same function, which no other call runs with these arguments."""
        if not is_same_function(recorded, replayed):
            return False
        if {recorded.function, recorded.body, replayed.function, replayed.body}.isdisjoint(self.shared):
            return True
        return has_same_arguments(recorded, replayed) and self.shared.isdisjoint(_with_arguments(recorded))


def is_same_function(recorded: CallNode, replayed: CallNode) -> bool | None:
    """Whether two calls run the same function; None where a side does not know its function."""
    left, right = recorded.function, replayed.function
    if left == UNKNOWN_BLOCK:
        return None
    if left is not None and left == right and ANONYMOUS not in left:
        return True  # its code may have been edited
    if recorded.body is None or replayed.body is None:
        return None
    if recorded.body != replayed.body:
        return False
    is_named = left is not None and right is not None and ANONYMOUS not in left and ANONYMOUS not in right
    return None if is_named and left != right else True  # two functions may do the same, such as return None


def has_same_arguments(recorded: CallNode, replayed: CallNode) -> bool:
    """Whether two calls are known to have the same arguments; False if they have none, or one of them is not known."""
    given = recorded.given or {}
    digests, texts = given.get("arguments"), (replayed.given or {}).get("texts")
    if not digests or not texts or texts.keys() != digests.keys() or None in texts.values():
        return False
    return not changed_arguments(digests, texts, key_for(given["of"]))


def shared_functions(*roots: CallNode) -> frozenset[Hashable]:
    """Return the functions, and the bodies, that calls of different names run: they do not tell one call from another.

    So do functions with their arguments, as far as the digests of the arguments are known.
    """
    found: set[Hashable] = set()
    for root in roots:
        names: dict[Hashable, set[str | None]] = defaultdict(set)
        pending = [root]
        while pending:
            node = pending.pop()
            pending.extend(node.children or ())
            for identity in (*_identities(node), *_with_arguments(node)):
                names[identity].add(node.side.name)
        found |= {identity for identity, called in names.items() if len(called) > 1}
    return frozenset(found)


def _identities(node: CallNode) -> list[str]:
    known = (node.function, node.body)
    return [each for each in known if each is not None and each != UNKNOWN_BLOCK and ANONYMOUS not in each]


def _with_arguments(node: CallNode) -> list[Hashable]:
    digests = (node.given or {}).get("arguments") or {}
    return [(each, tuple(sorted(digests.items()))) for each in _identities(node)] if digests else []


def changed_functions(recorded: CallNode, replayed: CallNode | None) -> tuple[str | None, str | None]:
    """Return the functions of two calls, without the functions around them; None where they are unknown or the same."""
    before, after = (
        (one.function or "").rpartition(".")[2] or None if one is not None else None for one in (recorded, replayed)
    )
    return (before, after) if before != after else (None, None)


def tree_of(execution: RecordedExecution, *, with_outcomes: bool = False) -> CallNode:
    """Return a recorded execution as a tree of calls. Branches without a record of their own are virtual contexts.

    Args:
        execution: The execution.
        with_outcomes: Whether to compare how calls ended. Two recordings may differ there; a replay takes its results
            from the recording.
    """
    root = CallNode(root_side(execution), is_ended=execution.status in ("SUCCEEDED", "FAILED"))
    foreign = execution.foreign()
    nodes: dict[str, CallNode] = {}
    virtual: dict[tuple[CallNode, int], CallNode] = {}
    decided = _decided(execution)
    given_up: set[str] = set()
    for operation in execution.operations:
        node = node_of(operation)
        if with_outcomes:
            node.outcome, node.order = _outcome_of(operation), _order_of(operation)
        node.is_foreign = operation.id in foreign or operation.subtype == PATCH
        parent = nodes.get(operation.parent_id) if operation.parent_id else None
        around = parent or root
        scope = operation.details.get("task_scope", ())
        if parent is not None and parent.is_batch and scope:
            around = _flat_branch(virtual, parent, scope[0].number)
            scope = scope[1:]
        node.scope = scope
        if around.children is not None:
            around.children.append(node)
        if _is_given_up(operation, given_up, decided):
            given_up.add(operation.id)
            around.cut_off.add(scope)
        nodes[operation.id] = node
    settled = _settled(execution)
    for id_, node in nodes.items():
        if node.is_batch:
            _count_branches(node)
            node.is_settled = id_ in settled and not node.is_ended
    return root


def _settled(execution: RecordedExecution) -> set[str]:
    """Ids of the maps and parallels in which nothing happened after an invocation had suspended in them.

    An invocation suspends only when no branch can go on, and a suspended branch keeps its slot. So every branch that could
    start had started.
    """
    batches = {operation.id for operation in execution.operations if operation.subtype in BATCHES}
    around: dict[str, frozenset[str]] = {}
    for operation in execution.operations if batches else ():
        outer = around.get(operation.parent_id or "", frozenset())
        around[operation.id] = outer | {operation.id} if operation.id in batches else outer
    started: set[str] = set()
    settled: set[str] = set()
    for event in execution.events if batches else ():
        kind, id_ = event.get("EventType"), str(event.get("Id") or "")  # a damaged event has anything as its id
        if kind == "InvocationCompleted":
            settled |= started
        elif kind == "ContextStarted" and id_ in batches:
            started.add(id_)
        else:
            settled -= around.get(id_, frozenset())
    return settled


def _order_of(operation: RecordedOperation) -> int:
    """When a call ended among the others. What has not ended comes last: contexts after the calls inside them."""
    if operation.status.is_terminal and operation.events:
        return operation.events[-1]
    return LATEST - (operation.type is not OperationType.CONTEXT)


def _outcome_of(operation: RecordedOperation) -> str | None:
    """How a call ended, as JSON text: its result, or the type and message of its error."""
    if operation.type is OperationType.WAIT:
        return None
    if not operation.status.is_terminal:
        return json.dumps(["open"])
    error = operation.error
    if error is not None or operation.status.value in ("FAILED", "TIMED_OUT", "STOPPED"):
        described = (operation.status.value, error.type if error else None, error.message if error else None)
        return json.dumps(["failed", *described])
    return json.dumps(["ended", operation.result])


def _decided(execution: RecordedExecution) -> dict[str, int]:
    """Index of the awaitable that decided, by id of each decided combinator."""
    found: dict[str, int] = {}
    for operation in execution.operations:
        if operation.subtype in COMBINATORS and operation.result and operation.result.isdecimal():
            found[operation.id] = int(operation.result)
    return found


def _is_given_up(operation: RecordedOperation, given_up: set[str], decided: Mapping[str, int]) -> bool:
    """Whether a call belongs to an awaitable that lost, so that a replay need not start it."""
    scope: ScopePath = operation.details.get("task_scope", MAIN)
    branches = [(step.of, step.number) for step in scope if step.of is not None]
    return any(of in given_up or decided.get(of, number) != number for of, number in branches)


def root_side(execution: RecordedExecution) -> Side:
    """The root context as a side."""
    root = execution.handler or execution.function_name or execution.name or "execution"
    return Side(OperationType.EXECUTION.value, name=root, status=execution.status)


def node_of(operation: RecordedOperation) -> CallNode:
    """One recorded operation as a node without children."""
    known = known_configuration(operation)
    return CallNode(
        side_of_recorded(operation, known),
        is_ended=operation.status.is_terminal,
        branch=operation.details.get("branch_index"),
        known=known,
        result=operation.result if operation.type is OperationType.CONTEXT else None,
        body=operation.details.get("body"),
        function=operation.details.get("function"),
        given=operation.details.get("given"),
    )


def count_of_branches(result: str | None) -> int | None:
    """How many branches a recorded batch had, read from its result in any of the shapes SDKs write; None where unreadable."""
    try:
        found = json.loads(result or "")
    except (ValueError, RecursionError):
        return None
    found = found.get("v", found) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return None
    total = found.get("totalCount")
    if isinstance(total, int):
        return total
    items = found.get("all")
    items = items.get("v") if isinstance(items, dict) else items
    return len(items) if isinstance(items, list) else None


def side_of_recorded(operation: RecordedOperation, known: Mapping[str, Any] | None = None) -> Side:
    """A recorded operation as a side of a difference."""
    invocations = operation.executed_by
    shown = {key: value for key, value in (known or {}).items() if key != "input"}
    return Side(
        type=operation.type.value,
        subtype=operation.subtype,
        name=operation.name,
        id=operation.id,
        position=operation.position,
        status=operation.status.value,
        invocation=invocations[0] if invocations else None,
        call_site=operation.call_site,
        configuration=shown,
        path=operation.path,
    )


def known_configuration(operation: RecordedOperation) -> dict[str, Any]:
    """Return the configuration of an operation as far as its history contains it."""
    details = operation.details
    known: dict[str, Any] = {}
    match operation.type:
        case OperationType.WAIT:
            seconds = details.get("duration_seconds")
            if seconds is not None:
                known["wait_seconds"] = seconds
        case OperationType.CHAINED_INVOKE:
            if details.get("function_name"):
                known["function_name"] = details["function_name"]
            if operation.input is not None and not details.get("input_truncated"):
                known["input"] = operation.input
        case OperationType.CALLBACK:
            words = ("timeout_seconds", "heartbeat_timeout_seconds")
            if any(word in details for word in words):
                known |= {word: details.get(word) or 0 for word in words}
        case OperationType.CONTEXT:
            if "branches" in details:
                known["branches"] = details["branches"]
        case _:
            pass
    return known


def completion_reason(result: str | None) -> str | None:
    """Why a recorded map or parallel was complete, read from its result. SDKs write it in several forms."""
    found = REASON.search(result) if result else None
    return found[1] if found else None


def is_same_json(left: str | None, right: str | None) -> bool:
    """Whether two serialized values are the same value."""
    if left == right or (left or "null") == (right or "null"):
        return True
    if left is None or right is None:
        return False
    try:
        return bool(json.loads(left) == json.loads(right))
    except (ValueError, RecursionError):
        return False


def comparable_texts(left: str, right: str) -> tuple[str, str]:
    """Return two values as texts whose first difference is one of the values, not of their spelling."""
    try:
        first, second = (json.dumps(json.loads(one), ensure_ascii=False, sort_keys=True) for one in (left, right))
    except (ValueError, RecursionError):
        return left, right
    return (first, second) if first != second else (left, right)


def _flat_branch(virtual: dict[tuple[CallNode, int], CallNode], batch: CallNode, index: int) -> CallNode:
    if (batch, index) not in virtual:
        path = branch_path(batch.side.path, index) if batch.side.path else None
        side = Side(OperationType.CONTEXT.value, BRANCH_OF.get(batch.side.subtype), None, position=index, path=path)
        virtual[batch, index] = CallNode(side, is_virtual=True, branch=index)
        if batch.children is not None:
            batch.children.append(virtual[batch, index])
    return virtual[batch, index]


def _count_branches(batch: CallNode) -> None:
    """Set the number of branches of a recorded batch: exact if all completed, otherwise a minimum."""
    recorded = [child.branch + 1 for child in batch.children or () if child.branch is not None]
    is_whole = batch.is_ended and completion_reason(batch.result) == "ALL_COMPLETED"
    flat = [child for child in batch.children or () if child.is_virtual]
    for child in flat:
        child.is_ended = is_whole  # a branch that was not awaited has no recorded end
    counted = count_of_branches(batch.result) if is_whole else None
    count = max([counted or 0, *recorded])  # a branch without calls leaves no other trace
    batch.is_partial = not is_whole or (counted is None and (bool(flat) or not recorded))
    if "branches" in batch.known:  # a replay trace knows the exact number
        batch.is_partial = False
    elif count or is_whole:
        batch.known = {**batch.known, "branches": count}
