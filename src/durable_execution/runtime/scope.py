"""A context as the runtime sees it: it numbers the calls of the context and decides whether they may be made.

Numbers the calls that are made by tasks of a context.

Operation ids in call order.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from durable_execution.errors import ConfigurationError, ExecutionError, NestedOperationError
from durable_execution.protocol.enums import MAX_NAME_LENGTH
from durable_execution.protocol.ids import Labels, branch_id, branch_path, kind_of, operation_id, task_path, task_prefix
from durable_execution.runtime.call import Call, current_call_site, known_sites
from durable_execution.runtime.loop import IN_STEP, TaskOwner
from durable_execution.runtime.loop import scope as running_scope

if TYPE_CHECKING:
    from durable_execution.runtime.state import ExecutionState


CALL_DEPTH = 3
"""Frames up to the caller of the method that calls `ContextScope.reserve`: as a rule, user code."""

FIRST_CALLS = (1, 2, 3)
"""Calls that show that a branch or task is recorded. One call may leave no record, but three in a row hardly ever do."""


class ContextScope:
    """The root context, a child context, or a branch.

    Attributes:
        state: The invocation's state.
        ids: Reserves ids in call order.
        parent_id: Id of the CONTEXT operation that calls are checkpointed under; None at the root.
        path: Readable path of the context.
        owner: The call that created this context; None at the root.
        patches: The answers `patched` has given in this context, by name.
        found: How many recorded calls the code has made again; counted in the home context.
        tasks: Tasks that this context's code has created.
        may_replay: Whether there may be recorded calls ahead; `is_replaying` checks whether there are.
        is_rebuilding: Whether the body runs only to rebuild a result that was too large to store.
        is_closed: Whether the context's body has ended, so that its remaining tasks may not checkpoint.
        created_tasks: How many tasks the context's own code has created, without the tasks that its tasks created.
        base: The context, when this scope is only the numbering of one of its tasks; else None.
        task_scopes: The scopes of tasks that make calls or made some before, each with its task.
    """

    __slots__ = (
        "_home",
        "base",
        "created_tasks",
        "found",
        "ids",
        "is_closed",
        "is_rebuilding",
        "labels",
        "may_replay",
        "outer",
        "owner",
        "parent_id",
        "patches",
        "path",
        "state",
        "task_scopes",
        "tasks",
    )

    def __init__(
        self,
        state: ExecutionState,
        *,
        prefix: str | None,
        parent_id: str | None,
        path: str,
        owner: Call | None = None,
    ) -> None:
        self.state = state
        self.ids = OperationIdGenerator(prefix)
        self.parent_id = parent_id
        self.path = path
        self.owner = owner
        self.outer: ContextScope | None = owner.scope if owner is not None else None
        self._home: ContextScope | None = owner.scope.home if owner is not None and owner.is_virtual else None
        self.found = 0
        self.labels = Labels()
        self.is_closed = False
        self.patches: dict[str, bool] = {}
        self.tasks: WeakSet[asyncio.Task[Any]] | None = None
        self.created_tasks = 0
        self.base: ContextScope | None = None
        self.task_scopes: list[tuple[ContextScope, asyncio.Task[Any] | None]] | None = None
        self.is_rebuilding: bool = self.outer is not None and self.outer.is_rebuilding
        self.may_replay: bool = self.outer.may_replay if self.outer is not None else state.recorded_count > 0

    @classmethod
    def of(cls, call: Call) -> ContextScope:
        """The scope inside a context operation. A virtual context checkpoints its calls under the enclosing context."""
        parent_id = call.scope.parent_id if call.is_virtual else call.id
        return cls(call.scope.state, prefix=call.id, parent_id=parent_id, path=call.path, owner=call)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Register a task that this context's code has created, so that it ends with the invocation."""
        self.state.tasks.add(task)
        if self.tasks is None:
            self.tasks = WeakSet()
        self.tasks.add(task)

    def for_task(self) -> TaskScope:
        """The scope for the next task that this context's code creates."""
        self.created_tasks += 1
        return TaskScope(self, self, self.created_tasks)

    def belongs_to(self, task: asyncio.Task[Any]) -> None:
        """Ignore the task: `adopt` has registered it where it was created."""

    def numbered_as(self, prefix: str, path: str) -> ContextScope:
        """This context with separate numbering, for one of its tasks."""
        task_scope = ContextScope(self.state, prefix=prefix, parent_id=self.parent_id, path=path)
        task_scope.outer = task_scope.base = self
        task_scope._home = self.home
        task_scope.is_rebuilding = self.is_rebuilding
        return task_scope

    def watch(self, task_scope: ContextScope, task: asyncio.Task[Any] | None) -> None:
        """Check a task's recorded calls when this context ends."""
        if self.task_scopes is None:
            self.task_scopes = []
        self.task_scopes.append((task_scope, task))

    @property
    def home(self) -> ContextScope:
        """The context whose record has the calls: this one, or the one around a virtual context or a task."""
        return self._home or self

    @property
    def may_miss_calls(self) -> bool:
        """Whether recorded calls have not been made again so far, here or elsewhere in the home context."""
        state, home = self.state, self.home
        return state.recorded_count > 0 and home.found < state.recorded_children(home.parent_id)

    @property
    def context(self) -> ContextScope:
        """The context that owns the calls, independent of the task that makes them."""
        return self.base or self

    @property
    def here(self) -> ContextScope:
        """The scope for the running code: this context, or the scope of one of its tasks."""
        running = running_scope.get()
        return running.scope if type(running) is TaskScope and running.context is self else self

    @property
    def has_running_tasks(self) -> bool:
        """Whether tasks that this context's code has created have not ended."""
        return self.tasks is not None and any(not task.done() for task in self.tasks)

    def reserve(self, type: str, subtype: str, name: str | None) -> Call:  # noqa: A002  # the protocol's word
        """Reserve the next operation of this context.

        Raises:
            NestedOperationError: Called from a step's body.
            ConfigurationError: The service does not accept the name, or the calling code belongs to a different context.
            ExecutionError: The invocation has ended, or the code runs in a different thread or process.
        """
        running = running_scope.get()
        if self.state.is_over or self.state.thread != get_ident():
            if running is IN_STEP and not self.state.is_over:
                raise _nested(kind_of(type, subtype), name)
            self.state.check_usable(_called(kind_of(type, subtype), name))
        if running is not self and running is not None:
            return self._elsewhere(running, type, subtype, name).reserve_here(type, subtype, name)
        return self.reserve_here(type, subtype, name)

    def reserve_here(self, type: str, subtype: str, name: str | None) -> Call:  # noqa: A002  # the protocol's word
        """Reserve the next operation in this numbering, without checking which code calls.

        Raises:
            ConfigurationError: The service does not accept the name.
        """
        labels = self.labels
        label = labels.again(name) if isinstance(name, str) else None
        if label is None:
            if name is not None:
                check_name(name)
            label = labels.label(kind_of(type, subtype), name)
        operation_id = self.ids.next_id()
        call = Call(self, operation_id, self.ids.position, type, subtype, name, label)
        if self.state.announcer is not None:
            frame = sys._getframe(CALL_DEPTH)  # noqa: SLF001  # the only way to look at a caller
            code = frame.f_code
            known = known_sites.get((id(code), frame.f_lasti))  # without a call: each replayed call comes here
            call.site = known[1] if known is not None and known[0] is code else current_call_site()
        return call

    def _elsewhere(self, running: TaskOwner, type: str, subtype: str, name: str | None) -> ContextScope:  # noqa: A002
        """The scope of the task that makes the call.

        Raises:
            NestedOperationError: The call is made in a step's body.
            ConfigurationError: The call is made by the code of a different context.
        """
        if running is IN_STEP:
            raise _nested(kind_of(type, subtype), name)
        if isinstance(running, TaskScope) and running.context is self:
            return running.scope
        raise misplaced(kind_of(type, subtype), name, self, running)

    @property
    def is_replaying(self) -> bool:
        """Whether the context's code is still repeating what earlier invocations did.

        True from the start of the context until its next call is not recorded. Code between the last recorded call and the
        first new call counts as new if the last recorded call had ended before this invocation.
        """
        if self.is_rebuilding or not self.may_replay:
            return self.is_rebuilding
        if self.ids.peek() not in self.state.operations and not self._is_known_to_end_here:
            self.may_replay = self._is_next_task_recorded
        return self.may_replay

    @property
    def _is_known_to_end_here(self) -> bool:
        """Whether the code after the last recorded call is known to have run before.

        When the end of a context is recorded, the code after its last call never runs again. A task, or a virtual context,
        runs to its end in every invocation.
        """
        is_recorded = self.base is None and not (self.owner is not None and self.owner.is_virtual)
        return not is_recorded and self.ids.position > 0 and self.state.was_over(self.ids.peek(0))

    @property
    def _is_next_task_recorded(self) -> bool:
        """Whether the next task that the context's own code creates has made calls before: it may make all of them."""
        if self.base is not None:
            return False
        prefix = task_prefix(self.ids.prefix, self.created_tasks + 1)
        return any(operation_id(prefix, number) in self.state.operations for number in FIRST_CALLS)

    def check_open(self, call: Call) -> None:
        """Refuse a call whose context has ended.

        Raises:
            ExecutionError: The context has ended.
        """
        scope: ContextScope | None = self
        while scope is not None:
            if scope.is_closed:
                raise ExecutionError(
                    f"{call.path} continued after its context {scope.path} had ended, so it cannot be stored. Await everything "
                    "you start in a context before the context's function returns"
                )
            scope = scope.outer


def misplaced(kind: str, name: str | None, owner: TaskOwner | None, running: TaskOwner) -> ConfigurationError:
    """The error for a call on one context by the code of a different one.

    Args:
        kind: Kind of the operation.
        name: Name of the operation.
        owner: The context it was called on.
        running: The owner of the calling code.
    """
    return ConfigurationError(
        f"{_called(kind, name)} was called on the context {_path_of(owner)} by code that runs in the context "
        f"{_path_of(running)}. A replay skips that code once its context has ended, and then numbers later calls "
        "differently. Call the operation on the context that the function received"
    )


def _path_of(owner: TaskOwner | None) -> str:
    return owner.context.path if isinstance(owner, (ContextScope, TaskScope)) else "of another function"


def _called(kind: str, name: str | None) -> str:
    article = "an" if kind[0] in "aeiou" else "a"
    return f"{kind} {name!r}" if name else f"{article} {kind}"


def check_name(name: object) -> None:
    """Refuse a name that the service does not accept.

    Raises:
        ConfigurationError: The name is not 1 to 256 printable ASCII characters.
    """
    if isinstance(name, str) and 0 < len(name) <= MAX_NAME_LENGTH and name.isascii() and name.isprintable():
        return
    kind = type(name).__name__
    if kind.endswith("Config"):
        raise ConfigurationError(f"{kind}(...) is in the place of the operation's name: write config={kind}(...)")
    raise ConfigurationError(f"operation name {name!r:.42} must be 1 to {MAX_NAME_LENGTH} printable ASCII characters")


def _nested(kind: str, name: str | None) -> NestedOperationError:
    return NestedOperationError(
        f"{_called(kind, name)} was called inside a step. A step's body runs once and is replayed as a single result, so it "
        "cannot contain durable operations. Call the operation from the handler, or turn the step into a child context: "
        "ctx.run_in_child_context(function)"
    )


class TaskScope:
    """The scope of a task: its calls belong to the context whose code created the task, and have their own numbering.

    Which of several tasks makes its next call first depends on what each waits for, and in a replay none of them waits. So
    calls are numbered per task, and tasks are numbered in the order in which code creates them.

    Attributes:
        context: The context.
    """

    __slots__ = ("_created_tasks", "_known_prefix", "_number", "_outer", "_scope", "_task", "context")

    def __init__(self, context: ContextScope, outer: ContextScope | TaskScope, number: int) -> None:
        self.context = context
        self._outer = outer
        self._number = number
        self._scope: ContextScope | None = None
        self._task: weakref.ref[asyncio.Task[Any]] | None = None
        self._known_prefix: str | None = None
        self._created_tasks = 0

    @classmethod
    def of_operation(cls, call: Call, index: int) -> TaskScope:
        """The scope of awaitable `index` (from 0) of an operation that runs several."""
        task_scope = cls(call.scope.context, call.scope, index)
        task_scope._scope = task_scope.context.numbered_as(branch_id(call.id, index), branch_path(call.path, index))
        return task_scope

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Register a task that this task's code has created."""
        self.context.adopt(task)

    def for_task(self) -> TaskScope:
        """The scope for the next task that this task's code creates."""
        self._created_tasks += 1
        if self._scope is not None:
            self._scope.created_tasks = self._created_tasks
        return TaskScope(self.context, self, self._created_tasks)

    def belongs_to(self, task: asyncio.Task[Any]) -> None:
        """Say which task it is. A task with recorded calls is watched even if it makes none any more."""
        if self._task is not None:
            return
        self._task = weakref.ref(task)
        context = self.context
        if self._scope is not None:
            context.watch(self._scope, task)
        elif context.may_miss_calls and self._is_recorded():
            self._scope = self._numbered()

    @property
    def scope(self) -> ContextScope:
        """The context with the numbering of this task, created on first use."""
        if self._scope is None:
            self._scope = self._numbered()
        return self._scope

    @property
    def _around(self) -> ContextScope:
        """The numbering of the code that created the task."""
        return self._outer.scope if isinstance(self._outer, TaskScope) else self._outer

    @property
    def _prefix(self) -> str:
        """Prefix of the ids of the task's calls."""
        if self._known_prefix is None:
            self._known_prefix = task_prefix(self._around.ids.prefix, self._number)
        return self._known_prefix

    def _is_recorded(self) -> bool:
        state, parent = self.context.state, self.context.home.parent_id
        if not state.may_have_inner_scopes(parent):
            return False
        return operation_id(self._prefix, 1) in state.operations or self._prefix in state.inner_scopes(parent)

    def _numbered(self) -> ContextScope:
        found = self.context.numbered_as(self._prefix, task_path(self._around.path, self._number))
        found.created_tasks = self._created_tasks
        self.context.watch(found, self._task() if self._task is not None else None)
        return found


class OperationIdGenerator:
    """Numbers the calls of one context and hashes the numbers into operation ids.

    An id is reserved when an operation is called, in the order of the calls. Scheduling does not affect ids.
    """

    __slots__ = ("position", "prefix")

    def __init__(self, prefix: str | None) -> None:
        self.prefix = prefix
        self.position = 0

    def next_id(self) -> str:
        """Reserve the id of the next call. Afterwards `position` is its number, from 1."""
        self.position += 1
        return operation_id(self.prefix, self.position)

    def peek(self, ahead: int = 1) -> str:
        """The id of the call that is `ahead` calls after the last one. Reserves nothing."""
        return operation_id(self.prefix, self.position + ahead)
