"""Builds the tree of one replay's calls, in the same shape and by the same rules as the recorded tree.

Also says how the replay ended: with which result or error, and where the handler raised it. Both trees name their root and their
virtual contexts alike.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from durable_execution.call_site import CallSite
from durable_execution.comparison.call_tree import BRANCH_OF, CallNode, comparable_texts, is_same_json
from durable_execution.comparison.runtime_check import side_of_call
from durable_execution.comparison.wording import effect_of, fix_of, likely_of
from durable_execution.divergence import DivergenceKind, Severity, Side, readable
from durable_execution.errors import OperationError
from durable_execution.history.positions import MAIN, Place, ScopePath, find_places
from durable_execution.history.recorded import RecordedExecution
from durable_execution.observers import OperationCall
from durable_execution.protocol import ErrorObject, OperationStatus, OperationType
from durable_execution.protocol.enums import COMBINATORS
from durable_execution.protocol.ids import root_path
from durable_execution.replay.recorded_state import ContextKey, RecordedState
from durable_execution.replay.run import ReplayRun
from durable_execution.replay.stand_ins import Collected, Collector
from durable_execution.replay.suspects import Suspect
from durable_execution.runtime.call import user_frame

MAX_MESSAGE = 120
LIBRARIES = f"{os.sep}site-packages{os.sep}"
TERMINAL = ("SUCCEEDED", "FAILED")
ROOT_NAME = re.compile(r"^[^/~#]*")
"""The root's name in a path; a task number may follow it."""


def tree_of_run(run: ReplayRun, state: RecordedState, name: str, *, is_resting: bool = False) -> CallNode:
    """Build the tree of the calls made in a replay.

    Args:
        run: The replay.
        state: The recorded state it replayed.
        name: Name of the handler.
        is_resting: Whether the code has made every call that the recorded results lead to.
    """
    root = _TreeBuilder(run, state, name).root
    if is_resting:
        _mark_resting(root)
    return root


def _mark_resting(root: CallNode) -> None:
    """Mark the open contexts whose code rests: all but those in a context that has ended and gave them up."""
    pending = [root]
    while pending:
        node = pending.pop()
        if not node.is_ended:
            node.is_resting = True
            pending.extend(node.children or ())


class _TreeBuilder:
    def __init__(self, run: ReplayRun, state: RecordedState, name: str) -> None:
        diverged = run.collector.diverged
        status = OperationStatus.SUCCEEDED if run.has_ended else OperationStatus.STARTED
        self.root = CallNode(
            Side(OperationType.EXECUTION.value, name=name, status=status.value),
            is_ended=run.has_ended and diverged is None and not run.is_blocked,
        )
        self._mark_raised(run, state)
        self.results = _results(run)
        self.calls: dict[str, OperationCall] = {}
        self.nodes: dict[str | None, CallNode] = {None: self.root}
        for collected in run.collector.calls.values():
            self._add(collected)
        if diverged is not None and diverged.call is not None and diverged.call.id not in self.nodes:
            self._add(Collected(diverged.call, is_recorded=True))
        groups: dict[str | None, list[OperationCall]] = {}
        for call in self.calls.values():
            groups.setdefault(call.parent_id, []).append(call)
        for parent, calls in groups.items():
            self._attach(parent, calls)
        for prefix in run.cut_off | run.unfinished:
            self._leave(state.contexts.get(prefix), state, is_cut=prefix in run.cut_off)
        ended = {call_id: one for call_id, one in run.collector.calls.items() if one.call.is_virtual and one.has_left}
        for prefix in ended.keys() | run.came_to_end:
            self._finish(state.contexts.get(prefix), state, raised=_raised(ended.get(prefix)))
        missing = diverged.divergence.recorded if diverged is not None and diverged.call is None else None
        if missing is not None and missing.id in state.places:
            self._finish(state.places[missing.id].context, state)

    def _mark_raised(self, run: ReplayRun, state: RecordedState) -> None:
        """Say which error ended the handler: in the innermost context that it ended, and nowhere else."""
        error = run.collector.exception
        if error is None or not run.has_failed or run.is_blocked:
            return
        if raising_context(run.collector) is None:
            self.root.raised = raised_side(error, path=self.root.side.path)
        if self.root.raised is None or state.execution.status == "SUCCEEDED":
            self.root.is_ended = False  # the calls it does not reach follow from the error, which is reported itself

    def _add(self, collected: Collected) -> None:
        self.calls[collected.call.id] = collected.call
        self.nodes[collected.call.id] = _node(collected, self.results)

    def _attach(self, parent: str | None, calls: list[OperationCall]) -> None:
        around = self.nodes.get(parent, self.root)
        flat = {call.position: self.nodes[call.id] for call in calls if call.is_virtual and _is_branch(call)}
        # a recording contains other calls without a checkpoint only through the calls made in them
        calls = [call for call in calls if not call.is_virtual or _is_branch(call)]
        places = find_places(
            [call.id for call in calls],
            parent=parent,
            parent_place=None,
            arn=None,
            is_batch=around.is_batch,
            combinators=[call.id for call in calls if call.subtype in COMBINATORS],
        )
        for call in sorted(calls, key=lambda call: _order(places.get(call.id), call)):
            place = places.get(call.id)
            self._append(around, self.nodes[call.id], place.scope if place else MAIN, flat)

    def _append(self, around: CallNode, node: CallNode, scope: ScopePath, flat: Mapping[int, CallNode]) -> None:
        if around.is_batch and scope:
            around = flat.get(scope[0].number, around)
            scope = scope[1:]
        node.scope = scope
        if around.children is None:
            around.children = []
        around.children.append(node)

    def _leave(self, recorded: ContextKey | None, state: RecordedState, *, is_cut: bool) -> None:
        """Mark the task scope of a task that did not finish in the replay."""
        if recorded is not None and recorded[1]:
            around, scope = self._numbering(recorded, state)
            if around is not None:
                (around.cut_off if is_cut else around.unfinished).add(scope)

    def _finish(self, recorded: ContextKey | None, state: RecordedState, *, raised: Side | None = None) -> None:
        """Mark a context or task that finished: recorded calls it did not make are missing."""
        if recorded is None:
            return
        around, scope = self._numbering(recorded, state)
        if around is not None:
            around.raised = around.raised or raised
        if around is not None and scope:
            around.finished.add(scope)
        elif around is not None:
            around.is_ended = True

    def _numbering(self, recorded: ContextKey, state: RecordedState) -> tuple[CallNode | None, ScopePath]:
        """Return the replayed context that a recorded task scope belongs to, and the task scope within it."""
        parent = next((prefix for prefix, key in state.contexts.items() if key == (recorded[0], MAIN)), None)
        around, scope = self.nodes.get(parent), recorded[1]
        if around is not None and around.is_batch and scope:
            flat = (node for node in around.children or () if node.is_virtual and node.branch == scope[0].number)
            around, scope = next(flat, None), scope[1:]
        return around, scope


def _results(run: ReplayRun) -> dict[str, str | None]:
    return {
        update["Id"]: update.get("Payload")
        for update in run.service.updates
        if update["Type"] == OperationType.CONTEXT and update["Action"] == "SUCCEED" and "ContextOptions" not in update
    }


def _node(collected: Collected, results: Mapping[str, str | None]) -> CallNode:
    call = collected.call
    known: dict[str, Any] = dict(call.configuration or {})
    if call.input is not None:
        known["input"] = call.input
    is_context = call.type == OperationType.CONTEXT
    return CallNode(
        side_of_call(call),
        children=[] if not is_context or collected.is_entered else None,
        is_ended=collected.has_left or not is_context,
        is_virtual=call.is_virtual,
        branch=call.position if _is_branch(call) else None,
        known=known,
        result=results.get(call.id) if is_context else None,
        body=call.body,
        function=call.function,
        given=collected.given,
        raised=_raised(collected),
    )


def _raised(collected: Collected | None) -> Side | None:
    if collected is None or collected.exception is None or not collected.has_left:
        return None
    return raised_side(collected.exception, path=collected.call.path, name=collected.call.name)


def _is_branch(call: OperationCall) -> bool:
    return call.subtype in BRANCH_OF.values() and call.path.endswith(f"#{call.position}")


def _order(place: Place | None, call: OperationCall) -> tuple[bool, tuple[ScopePath, int]]:
    return place is None, place.order if place is not None else (MAIN, call.position)


def raised_side(error: BaseException, *, path: str | None, name: str | None = None) -> Side:
    """Return an error that ended a context as the replayed side of a difference.

    Args:
        error: The error.
        path: Path of the context.
        name: Name of the context.
    """
    text = f"raised {type(error).__name__}: {error}" if str(error) else f"raised {type(error).__name__}"
    return Side(
        OperationType.CONTEXT.value,
        name=name,
        call_site=raise_site(error),
        detail=readable(text, limit=MAX_MESSAGE),
        path=path,
    )


def raise_site(error: BaseException) -> CallSite | None:
    """Return the innermost line of the user's code in the traceback of an error; of a library if there is no other."""
    site: CallSite | None = None
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if user_frame(frame) is frame and (site is None or LIBRARIES not in frame.f_code.co_filename):
            site = CallSite(frame.f_code.co_filename, traceback.tb_lineno, frame.f_code.co_qualname)
        traceback = traceback.tb_next
    return site


def raising_context(collector: Collector) -> Collected | None:
    """Return the innermost context whose error ended the handler; None when the handler's own code raised it."""
    error = collector.exception
    found: Collected | None = None
    while isinstance(error, OperationError):
        context = next((one for one in collector.calls.values() if one.call.id == error.operation_id), None)
        if context is None or context.exception is None:
            return found
        found, error = context, context.exception
    return found


def outcome_difference(
    execution: RecordedExecution, run: ReplayRun
) -> tuple[DivergenceKind, str, str, Severity] | None:
    """Return the kind of the difference between the outcomes, both outcomes as text, and its severity."""
    outcome = outcome_of(run)
    if execution.status not in TERMINAL or outcome is None:
        return None
    if outcome == "PENDING":
        if any(not collected.is_recorded for collected in run.collector.calls.values()):
            return None
        return DivergenceKind.UNFINISHED, f"the execution {execution.status.lower()}", "still waiting", Severity.ERROR
    if outcome != execution.status:
        error = ErrorObject.from_wire((run.answer or {}).get("Error"))
        shown = f"{outcome.lower()}: {error}" if error else outcome.lower()
        return DivergenceKind.OUTCOME, execution.status.lower(), shown, Severity.ERROR
    return _value_difference(execution, run)


def outcome_sentences(
    kind: DivergenceKind, left: Side, right: Side, execution: RecordedExecution, run: ReplayRun
) -> dict[str, Any]:
    """Return the likely cause, the effect and the fix of a different outcome.

    An error of the handler's own code, before recorded calls, is worded as where a recording goes on.
    """
    error = run.collector.exception if run.has_failed else None
    if kind is DivergenceKind.OUTCOME and error is not None and raising_context(run.collector) is None:
        made = run.collector.calls
        missed = next((one for one in execution.operations if one.parent_id is None and one.id not in made), None)
        if missed is not None and raise_site(error) is not None:
            kind = DivergenceKind.UNFINISHED
            left = Side(missed.type.value, id=missed.id, name=missed.name, subtype=missed.subtype)
            right = raised_side(error, path=right.path, name=right.name)
    return {
        "likely": likely_of(kind, left, right),
        "effect": effect_of(kind, left, right),
        "fix": fix_of(kind, left, right),
    }


def _value_difference(execution: RecordedExecution, run: ReplayRun) -> tuple[DivergenceKind, str, str, Severity] | None:
    if execution.status == "FAILED":
        recorded = execution.error.type if execution.error else None
        replayed = ((run.answer or {}).get("Error") or {}).get("ErrorType")
        if recorded is None or last_name(recorded) == last_name(replayed):
            return None
        return DivergenceKind.OUTCOME, f"error {recorded}", f"error {replayed}", Severity.WARNING
    result = result_of(run)
    if execution.result is None or is_same_json(execution.result, result):
        return None
    recorded, replayed = comparable_texts(execution.result, result or "null")
    return DivergenceKind.OUTCOME, f"result {recorded}", f"result {replayed}", Severity.WARNING


def last_name(error_type: str | None) -> str:
    """Return the name of an error type without its module."""
    return (error_type or "").rpartition(".")[2]


def outcome_of(run: ReplayRun) -> str | None:
    """Return the status with which a replay ended; None when it has no answer."""
    return str(run.answer["Status"]) if run.answer is not None and "Status" in run.answer else None


def result_of(run: ReplayRun) -> str | None:
    """Return the result, including one that was too large to return and was checkpointed instead."""
    for update in run.service.updates:
        if update["Type"] == OperationType.EXECUTION:
            payload: str | None = update.get("Payload")
            return payload
    return (run.answer or {}).get("Result")


def depends_on_place(suspects: Sequence[Suspect]) -> bool:
    """Whether the outcome may depend on where the code runs, for example on the environment or the date."""
    return any(
        suspect.kind in ("environment", "file", "process", "lambda_context") or "today" in suspect.what
        for suspect in suspects
    )


def rooted_at(execution: RecordedExecution, handler: str) -> RecordedExecution:
    """Return the recording with paths that start with the name of the replayed handler."""
    root = root_path(handler)
    operations = tuple(
        replace(operation, path=ROOT_NAME.sub(lambda _: root, operation.path, count=1))
        for operation in execution.operations
    )
    return replace(execution, operations=operations, handler=handler)


def with_names(execution: RecordedExecution, run: ReplayRun) -> RecordedExecution:
    """Return the recording with the replay's names for virtual contexts, which are recorded only by number."""
    names = {
        f"{call.path.rpartition('/')[0]}/context@{call.position}": call.path
        for call in (collected.call for collected in run.collector.calls.values())
        if call.is_virtual and not call.path.endswith(f"#{call.position}")
    }
    if not names:
        return execution
    return replace(
        execution,
        operations=tuple(replace(operation, path=_named(operation.path, names)) for operation in execution.operations),
    )


def _named(path: str, names: Mapping[str, str]) -> str:
    """Replace context numbers in a path by names; `names` is in call order, so outer contexts come first."""
    if "/context@" not in path:
        return path
    for old, new in names.items():
        rest = path.removeprefix(old)
        if rest != path and rest[:1] in ("", "/", "#", "~"):
            path = new + rest
    return path
