"""Compares each call with what is recorded at its id, and deals with a difference.

Only the comparison is on the hot path; what a difference means is worked out in `durable_execution.replay`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from durable_execution.errors import NondeterminismError
from durable_execution.protocol import Operation, OperationSubType, Wire
from durable_execution.protocol.paths import branch_path
from durable_execution.runtime.call import Call, call_site_of, current_call_site
from durable_execution.runtime.scope import ContextScope
from durable_execution.runtime.state import Ending, ExecutionState, NondeterminismPolicy, OperationViews, Outcome

if TYPE_CHECKING:
    from types import FrameType

logger = logging.getLogger("durable_execution")

BATCHES = frozenset({OperationSubType.MAP.value, OperationSubType.PARALLEL.value})
BRANCHES_AHEAD = 64
"""How many branches behind the last one are looked for; they are begun in order, so that the first ones are recorded."""

FIRST_CALLS = (1, 2, 3)
"""Calls by which a branch is found to be recorded; a call may leave no record, but hardly three in a row."""


async def check_recorded(call: Call, recorded: Wire) -> None:
    """Compare a call with what is recorded at its id. Does not return after a difference, unless the policy is WARN."""
    if (
        recorded["Type"] == call.type
        and (recorded.get("Name") or None) == call.name
        and (recorded.get("ParentId") or None) == call.scope.parent_id
        and (recorded.get("SubType") or call.subtype) == call.subtype
        and not call.is_virtual
    ):
        return
    from durable_execution.replay.detection import mismatch_at_call

    state = call.scope.state
    if call.site is None:
        call.locate(current_call_site() or _awaiting_site())
    divergence = mismatch_at_call(
        call.info(), Operation(recorded), handler=call.scope.state.handler, operations=OperationViews(state.operations)
    )
    await _diverge(state, call, divergence)


async def check_configuration(call: Call, recorded: Wire) -> None:
    """Report, as a warning, a call that is configured otherwise than recorded. Costs nothing without observers."""
    state = call.scope.state
    if state.announcer is None:
        return
    from durable_execution.replay.detection import configuration_mismatch

    divergence = configuration_mismatch(call.info(), Operation(recorded), handler=call.scope.state.handler)
    if divergence is not None:
        state.announcer.diverged(call, divergence)


async def check_finished(scope: ContextScope) -> None:
    """After a context's body: report recorded calls that the code has not made again.

    Ids are positional, so the calls a context might have made next are looked up by their ids; what others wrote into the
    execution is never blamed. While tasks that the context has started still run, nothing can be said.
    """
    missing = _never_called(scope)
    if missing and not scope.has_running_tasks:
        await _report_missing(scope, missing)
    gone = _flat_branch_that_is_gone(scope)
    if gone is not None:
        await _report_missing(*gone)
    for lane, task in scope.lanes or ():
        missing = _never_called(lane)
        if missing and _ran_to_its_end(task) and not scope.has_running_tasks:
            await _report_missing(lane, missing)


async def _report_missing(scope: ContextScope, missing: list[str]) -> None:
    from durable_execution.replay.detection import never_called

    state = scope.state
    divergence = never_called(
        scope.path,
        [Operation(state.operations[key]) for key in missing],
        handler=scope.state.handler,
        first_position=scope.ids.position + 1,
    )
    await _diverge(state, None, divergence)


def _ran_to_its_end(task: asyncio.Task[Any] | None) -> bool:
    """Whether a task was not cut off, so that it has made every call it makes."""
    return task is None or (task.done() and not task.cancelled() and task.exception() is None)


def _flat_branch_that_is_gone(scope: ContextScope) -> tuple[ContextScope, list[str]] | None:
    """A branch behind the last one of a batch that is recorded through its calls only, having no context of its own."""
    state, owner = scope.state, scope.owner
    if owner is None or owner.subtype not in BATCHES or not state.recorded_count:
        return None
    for step in range(1, min(state.recorded_children(owner.id), BRANCHES_AHEAD) + 1):
        index = scope.ids.position + step
        branch = ContextScope(
            state, prefix=scope.ids.peek(step), parent_id=owner.id, path=branch_path(scope.path, index)
        )
        keys = [key for key in (branch.ids.peek(number) for number in FIRST_CALLS) if key in state.operations]
        if keys:
            return branch, keys
    return None


def _never_called(scope: ContextScope) -> list[str]:
    state = scope.state
    if not state.recorded_count:
        return []
    is_virtual = scope.owner is not None and scope.owner.is_virtual
    ahead = 1 if is_virtual else max(1, state.recorded_children(scope.parent_id) - scope.ids.position)
    keys = (scope.ids.peek(step) for step in range(1, ahead + 1))
    return [key for key in keys if key in state.operations]


async def _diverge(state: ExecutionState, call: Call | None, divergence: Any) -> None:
    from durable_execution.replay.divergence import explain

    text = explain(divergence)
    if state.announcer is not None:
        state.announcer.diverged(call, divergence)
    if state.policy is NondeterminismPolicy.WARN:
        logger.warning("%s", text, extra={"executionArn": state.execution_arn})
        return
    logger.error("%s", text, extra={"executionArn": state.execution_arn})
    state.decide(Outcome(Ending.FAILED, error=NondeterminismError(text, divergence=divergence)))
    await state.park()


def _awaiting_site() -> Any:
    """Where the coroutine that runs now is awaited from, when the call itself is no longer on the stack."""
    task = asyncio.current_task()
    if task is None:
        return None
    for frame in reversed(task.get_stack()):
        site = _foreign(frame)
        if site is not None:
            return site
    return None


def _foreign(frame: FrameType) -> Any:
    return (
        call_site_of(frame) if not str(frame.f_globals.get("__name__", "")).startswith("durable_execution.") else None
    )
