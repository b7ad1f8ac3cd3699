"""When a new execution is invoked for the first time, and which executions are new."""

from datetime import datetime

import pytest

from durable_execution.local import CountingIds, LocalEngine, RealClock, SkippingClock
from durable_execution.local.clocks import millis
from durable_execution.local.function_registry import Target
from durable_execution.local.rules.executions import Start, begin_execution, release_children
from durable_execution.local.store.rows import ExecutionRow
from tests.unit.local.conftest import START
from tests.unit.local.scripts import done, register

NOW_MS = millis(START)


class StandingClock(RealClock):
    """A clock that a test does not wait for, with the rules of a real one."""

    def now(self) -> datetime:
        return START


def begin(engine: LocalEngine, name: str, parent: tuple[int, str] | None = None) -> tuple[ExecutionRow, bool]:
    backend = engine._backend
    start = Start(backend.functions.require("flow"), Target("flow", None), "1", name, parent=parent)
    with backend.transaction() as transaction:
        return begin_execution(backend, transaction, start)


@pytest.mark.parametrize(
    ("clock", "is_chained", "invoked_ms"),
    [
        (SkippingClock(START), False, NOW_MS),
        (SkippingClock(START), True, None),
        (StandingClock(), False, NOW_MS),
        (StandingClock(), True, NOW_MS + 250),
    ],
    ids=["direct", "chained", "direct in real time", "chained in real time"],
)
def test_a_chained_invoke_is_held_until_its_parent_suspends_but_in_real_time_for_a_moment_only(
    clock: SkippingClock | StandingClock, is_chained: bool, invoked_ms: int | None
) -> None:
    with LocalEngine(None, clock=clock, ids=CountingIds()) as engine:
        register(engine, lambda session: done())
        parent, _ = begin(engine, "parent")
        made, _ = begin(engine, "child", (parent.key, "i")) if is_chained else (parent, True)
        assert (made.invoke_ms, made.is_held) == (invoked_ms, is_chained)
        with engine._backend.transaction() as transaction:
            release_children(transaction, transaction.journal(parent))
        with engine._store.snapshot():
            released = engine._store.executions.by_arn(made.arn)
        assert released is not None
        assert (released.invoke_ms, released.is_held) == (NOW_MS, False)


def test_a_start_with_the_name_and_the_payload_of_an_execution_is_no_new_one(engine: LocalEngine) -> None:
    register(engine, lambda session: done())
    first, is_new = begin(engine, "order-7")
    assert is_new
    again, is_new = begin(engine, "order-7")
    assert not is_new
    assert again.arn == first.arn
