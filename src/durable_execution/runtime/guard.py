"""Compares each call with the operation recorded at its id, and handles a difference.

Only the comparison is on the hot path. `durable_execution.comparison` works out what a difference means.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from durable_execution.errors import NondeterminismError
from durable_execution.protocol import Operation, Wire
from durable_execution.protocol.enums import BATCHES, COMBINATORS
from durable_execution.protocol.operation import MILLISECONDS_FROM
from durable_execution.runtime.call import Call, current_call_site
from durable_execution.runtime.scope import ContextScope
from durable_execution.runtime.state import (
    UNRECORDED_CALLS,
    Ending,
    ExecutionState,
    NondeterminismPolicy,
    OperationViews,
    Outcome,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_execution.history.positions import InnerScope

logger = logging.getLogger("durable_execution")

WAIT_TOLERANCE = 1_000
"""Milliseconds: the service's timers have a resolution of one second."""


def is_recorded_as(call: Call, recorded: Wire) -> bool:
    """Whether the operation recorded at the id of a call is that call."""
    return (
        recorded["Type"] == call.type
        and (recorded.get("Name") or None) == call.name
        and (recorded.get("ParentId") or None) == call.scope.parent_id
        and (recorded.get("SubType") or call.subtype) == call.subtype
        and not call.is_virtual
    )


async def check_recorded(call: Call, recorded: Wire) -> None:
    """Compare a call with the operation recorded at its id. Returns after a difference only if the policy is WARN."""
    if is_recorded_as(call, recorded):
        return
    from durable_execution.comparison.runtime_check import mismatch_at_call

    state = call.scope.state
    if call.site is None:
        call.locate(current_call_site())
    divergence = mismatch_at_call(
        call.info(), Operation(recorded), handler=call.scope.state.handler, operations=OperationViews(state.operations)
    )
    await _diverge(state, call, divergence)


async def check_unrecorded(call: Call) -> None:
    """Report the recorded calls of a virtual context whose number a call of a different kind takes.

    A virtual context has no record of its own, so its number looks unused. The awaitables of a combinator are numbered like
    the contexts in a virtual context, so a combinator is blamed only for calls of the context itself.
    """
    scope = call.scope
    if call.type == "CONTEXT":
        return
    recorded = scope.state.inner_scopes(scope.home.parent_id)
    found = recorded.get(call.id)
    if found is not None and (found.calls or call.subtype not in COMBINATORS):
        if call.site is None:
            call.locate(current_call_site())
        await _report_missing(scope, _first_calls(found, recorded), within=found, taker=call)


def check_configuration(call: Call, recorded: Wire) -> None:
    """Report, as a warning, a call whose configuration differs from the recorded one. Costs nothing without observers."""
    state = call.scope.state
    if state.announcer is None or not (configuration := call.configuration):
        return
    if "wait_seconds" in configuration and _lasts_as_recorded(configuration, recorded):
        return
    from durable_execution.comparison.runtime_check import configuration_mismatch, is_configured_as_recorded

    if is_configured_as_recorded(call.configuration, recorded):
        return
    divergence = configuration_mismatch(call.info(), Operation(recorded), handler=call.scope.state.handler)
    if divergence is not None:
        state.announcer.diverged(call, divergence)


def _lasts_as_recorded(configuration: dict[str, Any], recorded: Wire) -> bool:
    """Tell whether a wait is as long as the recorded one. An invocation of a long execution asks that thousands of times."""
    try:
        start = recorded["StartTimestamp"]
        extra = recorded["WaitDetails"]["ScheduledEndTimestamp"] - start - configuration["wait_seconds"] * 1_000
        return len(configuration) == 1 and start >= MILLISECONDS_FROM and -WAIT_TOLERANCE <= extra <= WAIT_TOLERANCE
    except (KeyError, TypeError):  # times in another form, or none
        return False


async def check_finished(scope: ContextScope) -> None:
    """Report recorded calls that the code has not made again. Call this after a context's body has ended.

    Ids are positional, so the calls that a context would have made next are looked up by their ids. Operations that other
    contexts wrote into the execution are never reported. While tasks of the context still run, nothing is reported but
    branches that the code no longer has.
    """
    if not scope.may_miss_calls:
        return
    await _check_inside(scope, kind="branch")
    if scope.has_running_tasks:
        return
    await _check_ended(scope)
    for task_scope, task in scope.task_scopes or ():
        if _ran_to_its_end(task):
            await _check_ended(task_scope)


async def _check_ended(scope: ContextScope) -> None:
    """Report the recorded calls of a numbering after its last call, and those in its virtual contexts and tasks."""
    missing = _never_called(scope)
    if missing:
        await _report_missing(scope, missing)
    await _check_inside(scope, kind="context")
    await _check_inside(scope, kind="task")


async def _check_inside(scope: ContextScope, *, kind: str) -> None:
    """Report recorded calls in the first branch, virtual context or task after the last one that code has come to."""
    if kind == "branch" and (scope.owner is None or scope.owner.subtype not in BATCHES):
        return
    last = scope.created_tasks if kind == "task" else scope.ids.position
    recorded = scope.state.inner_scopes(scope.home.parent_id)
    later = [
        one
        for one in recorded.values()
        if one.outer == scope.ids.prefix and one.step.kind == kind and one.step.number > last
    ]
    if later:
        found = min(later, key=lambda one: one.step.number)
        await _report_missing(scope, _first_calls(found, recorded), within=found)


def _first_calls(scope: InnerScope, recorded: Mapping[str | None, InnerScope]) -> list[str]:
    """The recorded calls of a task scope, or of the first one in it that has some."""
    while not scope.calls:
        scope = recorded[scope.inner[0]]
    return scope.calls


async def _report_missing(
    scope: ContextScope, missing: list[str], *, within: InnerScope | None = None, taker: Call | None = None
) -> None:
    """Report recorded calls that are not made.

    Args:
        scope: The numbering that ended without them.
        missing: Their ids.
        within: The virtual context, branch or task that has them; None when they are the next calls of the scope.
        taker: The call that has its number now.
    """
    from durable_execution.comparison.runtime_check import never_called
    from durable_execution.history.positions import scope_path

    state, path = scope.state, scope.path
    if within is not None:
        path = scope_path(path, (within.step,), {})
    divergence = never_called(
        path,
        [Operation(state.operations[key]) for key in missing],
        handler=state.handler,
        first_position=scope.ids.position + 1 if within is None else 1,
        taker=taker.info() if taker is not None else None,
    )
    await _diverge(state, None, divergence)


def _ran_to_its_end(task: asyncio.Task[Any] | None) -> bool:
    """Whether a task ended by itself, so that it has made all its calls."""
    return task is None or (task.done() and not task.cancelled() and task.exception() is None)


def _never_called(scope: ContextScope) -> list[str]:
    """The recorded calls after the last one of a numbering, found by their ids.

    A task is not searched as far ahead as a context: a gather has thousands of tasks, and few of its calls leave no record.
    """
    state = scope.state
    is_virtual = scope.owner is not None and scope.owner.is_virtual
    ahead = 1 if is_virtual else max(1, state.recorded_children(scope.parent_id) - scope.ids.position)
    if scope.base is not None:
        ahead = min(ahead, UNRECORDED_CALLS)
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
