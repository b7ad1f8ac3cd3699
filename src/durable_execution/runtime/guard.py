"""Compares each call with the operation recorded at its id, and handles a difference.

Only the comparison is on the hot path. `durable_execution.comparison` works out what a difference means.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from durable_execution.errors import NondeterminismError
from durable_execution.protocol import Operation, Wire
from durable_execution.protocol.enums import BATCHES
from durable_execution.protocol.ids import branch_path
from durable_execution.protocol.operation import MILLISECONDS_FROM
from durable_execution.runtime.call import Call, call_site_of, current_call_site, user_frame
from durable_execution.runtime.scope import FIRST_CALLS, ContextScope
from durable_execution.runtime.state import Ending, ExecutionState, NondeterminismPolicy, OperationViews, Outcome

if TYPE_CHECKING:
    from types import FrameType

logger = logging.getLogger("durable_execution")

WAIT_TOLERANCE = 1_000
"""Milliseconds: the service's timers have a resolution of one second."""

BRANCHES_AHEAD = 64
"""How many branches after the last one are checked. Branches start in order, so the first ones are recorded."""


async def check_recorded(call: Call, recorded: Wire) -> None:
    """Compare a call with the operation recorded at its id. Returns after a difference only if the policy is WARN."""
    if (
        recorded["Type"] == call.type
        and (recorded.get("Name") or None) == call.name
        and (recorded.get("ParentId") or None) == call.scope.parent_id
        and (recorded.get("SubType") or call.subtype) == call.subtype
        and not call.is_virtual
    ):
        return
    from durable_execution.comparison.runtime_check import mismatch_at_call

    state = call.scope.state
    if call.site is None:
        call.locate(current_call_site() or _awaiting_site())
    divergence = mismatch_at_call(
        call.info(), Operation(recorded), handler=call.scope.state.handler, operations=OperationViews(state.operations)
    )
    await _diverge(state, call, divergence)


def check_configuration(call: Call, recorded: Wire) -> None:
    """Report, as a warning, a call whose configuration differs from the recorded one. Costs nothing without observers."""
    state = call.scope.state
    if state.announcer is None or not call.configuration or _lasts_as_recorded(call.configuration, recorded):
        return
    from durable_execution.comparison.runtime_check import configuration_mismatch, is_configured_as_recorded

    if is_configured_as_recorded(call.configuration, recorded):
        return
    divergence = configuration_mismatch(call.info(), Operation(recorded), handler=call.scope.state.handler)
    if divergence is not None:
        state.announcer.diverged(call, divergence)


def _lasts_as_recorded(configuration: dict[str, Any], recorded: Wire) -> bool:
    """Tell whether a wait is as long as the recorded one. An invocation of a long execution asks that thousands of times."""
    details, wanted = recorded.get("WaitDetails"), configuration.get("wait_seconds")
    if details is None or wanted.__class__ is not int or len(configuration) != 1:
        return False
    start, end = recorded.get("StartTimestamp"), details.get("ScheduledEndTimestamp")
    if start.__class__ is not int or end.__class__ is not int or start < MILLISECONDS_FROM:
        return False
    return bool(-WAIT_TOLERANCE <= end - start - wanted * 1_000 <= WAIT_TOLERANCE)


async def check_finished(scope: ContextScope) -> None:
    """Report recorded calls that the code has not made again. Call this after a context's body has ended.

    Ids are positional, so the calls that a context would have made next are looked up by their ids. Operations that other
    contexts wrote into the execution are never reported. While tasks of the context still run, nothing is reported.
    """
    missing = _never_called(scope)
    if missing and not scope.has_running_tasks:
        await _report_missing(scope, missing)
    gone = _missing_virtual_branch(scope)
    if gone is not None:
        await _report_missing(*gone)
    for task_scope, task in scope.task_scopes or ():
        missing = _never_called(task_scope)
        if missing and _ran_to_its_end(task) and not scope.has_running_tasks:
            await _report_missing(task_scope, missing)


async def _report_missing(scope: ContextScope, missing: list[str]) -> None:
    from durable_execution.comparison.runtime_check import never_called

    state = scope.state
    divergence = never_called(
        scope.path,
        [Operation(state.operations[key]) for key in missing],
        handler=scope.state.handler,
        first_position=scope.ids.position + 1,
    )
    await _diverge(state, None, divergence)


def _ran_to_its_end(task: asyncio.Task[Any] | None) -> bool:
    """Whether a task ended by itself, so that it has made all its calls."""
    return task is None or (task.done() and not task.cancelled() and task.exception() is None)


def _missing_virtual_branch(scope: ContextScope) -> tuple[ContextScope, list[str]] | None:
    """A branch recorded after the last branch of a batch, found by its calls because virtual contexts have no record."""
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
    from durable_execution.divergence import explain

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
    """The line that awaits the running coroutine, for a call that is no longer on the stack."""
    task = asyncio.current_task()
    if task is None:
        return None
    for frame in reversed(task.get_stack()):
        site = _foreign(frame)
        if site is not None:
            return site
    return None


def _foreign(frame: FrameType) -> Any:
    return call_site_of(frame) if user_frame(frame) is frame else None
