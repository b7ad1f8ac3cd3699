"""Whether a context's code still repeats what earlier invocations did, from what is recorded."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from durable_execution.protocol import operation_id
from durable_execution.protocol.ids import task_prefix
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import ContextScope


def scope_of(
    *recorded: str, is_virtual: bool = False, over: tuple[str, ...] = (), count: int | None = None
) -> ContextScope:
    """The root context, or a virtual one, of an execution with these recorded calls."""
    state: Any = SimpleNamespace(
        operations=dict.fromkeys(recorded),
        recorded_count=len(recorded) if count is None else count,
        recorded_children=lambda parent_id: len(recorded),
        was_over=lambda id_: id_ in over,
        loop=None,
    )
    made = ContextScope(state, prefix=None, parent_id=None, path="flow")
    if is_virtual:
        made.owner = cast("Any", SimpleNamespace(is_virtual=True, scope=made))
    return made


def ids(*numbers: int, prefix: str | None = None) -> list[str]:
    return [operation_id(prefix, number) for number in numbers]


def test_code_replays_until_its_next_call_is_not_recorded() -> None:
    scope = scope_of(*ids(1, 2))
    for expected in (True, True, False, False):
        assert scope.is_replaying is expected
        scope.ids.next_id()


def test_what_has_stopped_replaying_does_not_start_again() -> None:
    scope = scope_of(*ids(2))
    assert not scope.is_replaying
    scope.ids.next_id()
    assert not scope.is_replaying


def test_a_new_execution_replays_nothing() -> None:
    assert not scope_of().is_replaying
    assert not scope_of(*ids(1), count=0).is_replaying


def test_a_context_that_only_rebuilds_its_result_replays() -> None:
    scope = scope_of()
    scope.is_rebuilding = True
    assert scope.is_replaying
    scope = scope_of(*ids(1))
    scope.is_rebuilding = True
    for _ in range(3):
        assert scope.is_replaying
        scope.ids.next_id()


@pytest.mark.parametrize(("number", "is_replaying"), [(0, False), (1, True), (2, True), (3, True), (4, False)])
@pytest.mark.parametrize("created", [0, 1])
def test_code_whose_next_task_is_recorded_still_replays(number: int, is_replaying: bool, created: int) -> None:
    """One of its first three calls shows it: one may leave no record."""
    scope = scope_of(*ids(number, prefix=task_prefix(None, created + 1)))
    scope.created_tasks = created
    assert scope.is_replaying is is_replaying


@pytest.mark.parametrize("other", [0, 2, 3])
def test_only_the_task_that_is_created_next_counts(other: int) -> None:
    assert not scope_of(*ids(1, prefix=task_prefix(None, other))).is_replaying


def test_the_code_of_a_task_creates_no_task_of_its_context() -> None:
    scope = scope_of(*ids(1, prefix=task_prefix(None, 1)))
    scope.base = scope_of()
    assert not scope.is_replaying


@pytest.mark.parametrize("is_over", [True, False])
@pytest.mark.parametrize("kind", ["context", "virtual context", "task"])
def test_code_behind_a_call_that_was_over_has_run_before_where_it_runs_to_its_end_every_time(
    kind: str, is_over: bool
) -> None:
    """The end of a context is recorded, so that its code does not run again; that of a task or a virtual context is not."""
    (last,) = ids(1)
    scope = scope_of(last, is_virtual=kind == "virtual context", over=(last,) if is_over else ())
    if kind == "task":
        scope.base = scope_of()
    scope.ids.next_id()
    assert scope.is_replaying is (is_over and kind != "context")


def test_code_before_the_first_call_of_a_virtual_context_is_new() -> None:
    assert not scope_of(*ids(5), is_virtual=True, over=tuple(ids(0))).is_replaying


@pytest.mark.parametrize(
    ("recorded", "found", "count", "may"),
    [(2, 0, 2, True), (2, 1, 2, True), (2, 2, 2, False), (1, 0, 1, True), (0, 0, 0, False), (1, 0, 0, False)],
)
def test_a_context_may_miss_calls_until_all_that_are_recorded_were_made(
    recorded: int, found: int, count: int, may: bool
) -> None:
    scope = scope_of(*ids(*range(1, recorded + 1)), count=count)
    scope.found = found
    assert scope.may_miss_calls is may


def test_calls_of_a_task_are_counted_in_its_context() -> None:
    scope = scope_of(*ids(1))
    task = scope.numbered_as("p", "flow/task(1)")
    assert (task.home, task.context, task.base) == (scope, scope, scope)
    assert task.may_miss_calls
    scope.found = 1
    assert not task.may_miss_calls


def test_code_of_a_task_is_numbered_apart_in_its_own_context_only() -> None:
    scope, other = scope_of(), scope_of()
    assert scope.here is scope
    running = scope.for_task()
    token = running_scope.set(running)
    try:
        assert scope.here is running.scope
        assert scope.here is not scope
        assert other.here is other
    finally:
        running_scope.reset(token)


def test_the_tasks_of_a_context_are_numbered_as_it_creates_them() -> None:
    scope = scope_of()
    first, second = scope.for_task(), scope.for_task()
    inner = second.for_task()
    assert [one.scope.ids.prefix for one in (first, second)] == [task_prefix(None, 1), task_prefix(None, 2)]
    assert inner.scope.ids.prefix == task_prefix(task_prefix(None, 2), 1)
    assert inner.scope.context is scope


def test_a_new_scope_has_found_and_created_nothing() -> None:
    scope = scope_of(*ids(1))
    assert (scope.found, scope.created_tasks, scope.is_closed, scope.has_running_tasks) == (0, 0, False, False)
