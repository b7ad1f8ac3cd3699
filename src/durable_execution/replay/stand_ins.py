"""Stands in for the Lambda service in a replay: accepts every update and completes nothing itself.

The Lambda context object that a replay passes to the handler.

Collects the calls that the code makes in one replay.

Tracks tasks of a replayed handler that were cancelled: their missing calls are not differences.

A task that loses an already decided race is cancelled, in a replay often before it starts.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from durable_execution.divergence import Divergence, Severity
from durable_execution.observers import (
    ContextEntered,
    ContextLeft,
    Diverged,
    InvocationEnded,
    InvocationStarted,
    Observer,
    OperationCall,
    OperationCompleted,
    OperationReplayed,
    OperationStarted,
    Suspended,
)
from durable_execution.protocol import OperationType, Wire
from durable_execution.protocol.ids import task_prefix
from durable_execution.protocol.operation import DETAILS_MEMBER
from durable_execution.replay.isolation.audit_hook import is_refusal
from durable_execution.replay.suspects import SuspectKind, SuspectList, user_stack
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import ContextScope, TaskScope
from durable_execution.runtime.service import CheckpointAnswer, StatePage
from durable_execution.runtime.state import ExecutionState
from durable_execution.trace.arguments import texts_of

TERMINAL = {"SUCCEED": "SUCCEEDED", "FAIL": "FAILED", "CANCEL": "CANCELLED"}
SETTLED_FROM_OUTSIDE = frozenset({OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE})


class ReplayService:
    """Answers checkpoints from memory. Operations that the code starts for the first time stay open.

    Attributes:
        updates: Every update that was sent.
        rooms: Ids of inserted calls, which are answered at once with no result, to see which call follows; the ids of
            calls made inside them are added.
        seed_arn: ARN that seeds `ctx.random` and `ctx.uuid`, of a fork's recording; None for the recording's own.
    """

    def __init__(self, rooms: set[str], seed_arn: str | None = None) -> None:
        self.seed_arn = seed_arn
        self.updates: list[Wire] = []
        self.rooms = rooms
        self._operations: dict[str, Wire] = {}
        self._count = 0

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Accept updates."""
        self._count += 1
        self.updates.extend(updates)
        return CheckpointAnswer(f"replay-{self._count}", [self._apply(update) for update in updates])

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Return an empty page: the state has only one page."""
        return StatePage([])

    def is_in_room(self, *ids: str | None) -> bool:
        """Whether a call, or a context around it, is answered at once."""
        return any(id_ in self.rooms for id_ in ids if id_ is not None)

    def _apply(self, update: Wire) -> Wire:
        id_, action, type_ = update["Id"], update["Action"], OperationType(update["Type"])
        wire = dict(self._operations.get(id_) or _started(update))
        if self.is_in_room(update.get("ParentId")):
            self.rooms.add(id_)
        details = dict(wire.get(DETAILS_MEMBER[type_]) or {})
        if type_ is OperationType.CALLBACK:
            details.setdefault("CallbackId", f"replay-{len(self.updates)}")
        if type_ is OperationType.STEP and action == "RETRY":
            wire["Status"] = "PENDING"
            details["Attempt"] = int(details.get("Attempt", 0)) + 1
        elif action in TERMINAL:
            wire["Status"] = TERMINAL[action]
        elif type_ in SETTLED_FROM_OUTSIDE and self.is_in_room(id_):
            wire["Status"] = "SUCCEEDED"
        for member, word in (("Payload", "Result"), ("Error", "Error")):
            if action in TERMINAL and update.get(member) is not None:
                details[word] = update[member]
        if "ContextOptions" in update:
            details |= update["ContextOptions"]
        wire[DETAILS_MEMBER[type_]] = details
        self._operations[id_] = wire
        return wire


def _started(update: Wire) -> Wire:
    members = ("Id", "ParentId", "Name", "Type", "SubType")
    return {**{member: update[member] for member in members if member in update}, "Status": "STARTED"}


VALUES: dict[str, Any] = {
    "aws_request_id": "00000000-0000-4000-8000-000000000000",
    "log_group_name": "/aws/lambda/replayed",
    "log_stream_name": "2020/01/01/[$LATEST]replay",
    "function_name": "replayed",
    "function_version": "$LATEST",
    "invoked_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:replayed:$LATEST",
    "memory_limit_in_mb": "128",
    "identity": None,
    "client_context": None,
    "tenant_id": None,
}
VARYING = frozenset({"aws_request_id", "log_stream_name", "get_remaining_time_in_millis"})
"""Attributes whose value differs between invocations of the same execution."""


class ReplayLambdaContext:
    """Looks like Lambda's context, and records when user code reads an attribute that varies between invocations."""

    def __init__(self, suspects: SuspectList) -> None:
        self._suspects = suspects

    def __getattr__(self, name: str) -> Any:
        if name in VARYING:
            stack = user_stack(sys._getframe(1))  # noqa: SLF001  # the reader's frame
            self._suspects.add(SuspectKind.CONTEXT, f"lambda_context.{name}", stack)
        if name == "get_remaining_time_in_millis":
            return lambda: 60_000
        if name in VALUES:
            return VALUES[name]
        raise AttributeError(f"the Lambda context has no attribute {name!r}")


@dataclass(slots=True)
class Collected:
    """One collected call.

    Attributes:
        call: The call.
        is_recorded: Whether the recording contains it.
        is_entered: Whether its body ran; contexts only.
        has_left: Whether its body finished without being stopped by a refused side effect.
        exception: The error that ended its body.
        given: Texts of the arguments of its function, and of a map's items, when it was made.
    """

    call: OperationCall
    is_recorded: bool
    is_entered: bool = False
    has_left: bool = False
    exception: BaseException | None = None
    given: dict[str, Any] | None = None


@dataclass(slots=True)
class Collector(Observer):
    """Observes every call of an invocation.

    Attributes:
        calls: The calls by id, in the order in which they were observed.
        diverged: The first difference that ends the replay, with its call.
        has_started: Whether the handler started.
        pending: The calls that the invocation waited for when it suspended.
        exception: The error that ended the handler.
    """

    calls: dict[str, Collected] = field(default_factory=dict)
    diverged: Diverged | None = None
    has_started: bool = False
    pending: tuple[OperationCall, ...] = ()
    exception: BaseException | None = None

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        """Remember that the handler started."""
        self.has_started = True

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """Remember the error that ended the handler."""
        self.exception = notification.exception

    def on_operation_started(self, notification: OperationStarted) -> None:
        """Collect a call that is new or not finished."""
        self._note(notification.call, is_recorded=notification.recorded is not None)

    def on_operation_replayed(self, notification: OperationReplayed) -> None:
        """Collect a call that the recording answers."""
        self._note(notification.call, is_recorded=True)

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        """Collect a call that has finished."""
        self._note(notification.call, is_recorded=notification.is_replayed)

    def on_context_entered(self, notification: ContextEntered) -> None:
        """Remember that a context's body started."""
        self._note(notification.call, is_recorded=notification.is_replaying_children).is_entered = True

    def on_context_left(self, notification: ContextLeft) -> None:
        """Remember that a context's body ended."""
        collected = self._note(notification.call, is_recorded=notification.is_replaying_children)
        is_blocked = is_refusal(notification.exception)
        collected.exception = notification.exception
        collected.has_left = notification.outcome != "INCOMPLETE" and not is_blocked

    def on_suspended(self, notification: Suspended) -> None:
        """Everything left to do is waiting."""
        self.pending = tuple(notification.pending)

    def on_diverged(self, notification: Diverged) -> None:
        """Keep the first difference that ends the execution."""
        divergence: Divergence = notification.divergence
        if self.diverged is None and divergence.severity is Severity.ERROR:
            self.diverged = notification

    def _note(self, call: OperationCall, *, is_recorded: bool) -> Collected:
        found = self.calls.get(call.id)
        if found is None:
            found = self.calls[call.id] = Collected(call, is_recorded, given=texts_of(call.bound, call.items))
        return found


TaskFactory = Callable[..., asyncio.Task[Any]]


class TaskTracker:
    """Tracks the tasks that have their own task scope, by wrapping the event loop's task factory."""

    def __init__(self) -> None:
        self._tasks: list[tuple[TaskScope, asyncio.Task[Any]]] = []
        self._cancelled: set[asyncio.Task[Any]] = set()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Track every such task that the loop creates from now on."""
        make: Any = loop.get_task_factory()

        def make_task(
            loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
        ) -> asyncio.Task[Any]:
            owner = running_scope.get()
            if options.get("context") is None and isinstance(owner, (ContextScope, TaskScope)):
                options["context"] = copy_context()
                options["context"].run(running_scope.set, owner.for_task())
            task: asyncio.Task[Any] = make(loop, coroutine, **options)
            scope = options["context"].get(running_scope) if options.get("context") is not None else None
            if isinstance(scope, TaskScope):
                self._tasks.append((scope, task))
                task.add_done_callback(partial(self._note, scope.context.state))
            return task

        loop.set_task_factory(cast("Any", make_task))  # typeshed also wants generators

    def cut_off(self) -> frozenset[str]:
        """Return the id prefixes of tasks that the handler cancelled."""
        return frozenset(_prefix(scope) for scope, task in self._tasks if task in self._cancelled)

    def unfinished(self) -> frozenset[str]:
        """Return the id prefixes of tasks that were still running when the invocation ended."""
        left = ((scope, task) for scope, task in self._tasks if not task.done() or task.cancelled())
        return frozenset(_prefix(scope) for scope, task in left if task not in self._cancelled)

    def came_to_end(self) -> frozenset[str]:
        """Return the id prefixes of tasks that finished."""
        done = ((scope, task) for scope, task in self._tasks if task.done() and not task.cancelled())
        return frozenset(_prefix(scope) for scope, task in done if task.exception() is None)

    def _note(self, state: ExecutionState, task: asyncio.Task[Any]) -> None:
        """Remember a cancelled task, unless the end of the invocation cancelled it."""
        if task.cancelled() and not state.is_decided:
            self._cancelled.add(task)


def _prefix(scope: TaskScope) -> str:
    """Return the prefix of a task scope's ids, even when the task made no call."""
    if scope._scope is not None and scope._scope.ids.prefix is not None:  # noqa: SLF001
        return scope._scope.ids.prefix  # noqa: SLF001
    outer = scope._outer  # noqa: SLF001  # a task scope gets its number with its first call
    around = _prefix(outer) if isinstance(outer, TaskScope) else outer.ids.prefix
    return task_prefix(around, scope._number)  # noqa: SLF001
