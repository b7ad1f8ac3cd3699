"""Which call of a fork ends next, when, and what is known of it then."""

import json
from typing import Any

import pytest

from durable_execution.local import LocalEngine
from durable_execution.local.clocks import millis
from durable_execution.local.rules.forks import Fork, RecordedOutcome, encoded, end_next
from durable_execution.local.store.rows import ForkRow, OperationRow
from durable_execution.protocol import Wire
from tests.unit.local.conftest import START
from tests.unit.local.scripts import PENDING, Session, callback, details, history, register, retry, step, wait

START_MS = millis(START)
WAIT_MS, STEP_MS, CALLBACK_MS = START_MS + 30_000, START_MS + 60_000, START_MS + 90_000


class Waiting:
    """An execution whose handler waits for a wait `w`, a step `s` and callbacks `c` and `d`, and in the body of a step `p`.

    `w`, `s` and `c` have a timer.

    Args:
        engine: The engine. Its clock moves for recorded outcomes only.
    """

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.backend = engine._backend

        def body(session: Session) -> Wire:
            session.send(step("s", "START", Name="s"), step("p", "START", Name="p"))
            session.send(
                retry("s", 60, Name="s"),
                wait("w", 30, Name="w"),
                callback("c", timeout=90, Name="c"),
                callback("d", Name="d"),
            )
            return PENDING

        register(engine, body)
        self.arn = engine.start("flow")
        engine.run_until_idle(skips="nothing")

    def end_next(
        self, *recorded: RecordedOutcome, parked: str = "", given: dict[str, Wire] | None = None
    ) -> dict[str, OperationRow]:
        """End the next call as recorded or as given; returns the calls that changed.

        Args:
            recorded: What is recorded, by the names of the calls.
            parked: Steps whose body waits instead of running.
            given: Outcomes by name.
        """
        outcomes = {str(one.name): one for one in recorded}
        row = ForkRow(0, None, "flow/a", 0, None, encoded(outcomes), "[]", json.dumps(given or {}))
        fork = Fork(row, outcomes, frozenset(), given or {}, parked=set(parked))
        with self.backend.transaction() as transaction:
            execution = self.backend.store.executions.by_arn(self.arn)
            assert execution is not None
            journal = transaction.journal(execution)
            before = {id_: journal.operation(id_) for id_ in "spwcd"}
            end_next(self.backend.forks, self.backend.clock, journal, fork)
            after = {id_: journal.operation(id_) for id_ in "spwcd"}
        assert fork.parked == set()
        return {id_: now for id_, now in after.items() if now is not None and now != before[id_]}


@pytest.fixture
def waiting(engine: LocalEngine) -> Waiting:
    return Waiting(engine)


TYPES = {
    "w": ("WAIT", "Wait"),
    "s": ("STEP", "Step"),
    "p": ("STEP", "Step"),
    "c": ("CALLBACK", "Callback"),
    "d": ("CALLBACK", "Callback"),
}


def ended(name: str, order: int, at_ms: int, *, attempt: int = 0, **members: Any) -> RecordedOutcome:
    return RecordedOutcome(order, at_ms, *TYPES[name], name, "SUCCEEDED", attempt, **members)


def test_the_call_that_ended_first_ends_first_at_its_recorded_time(waiting: Waiting) -> None:
    at_ms = START_MS + 10_000
    changed = waiting.end_next(ended("s", 9, at_ms + 5, attempt=2), ended("d", 8, at_ms, result="1"))
    assert changed.keys() == {"s", "d"}
    assert (changed["d"].status, changed["d"].ended_ms, changed["d"].result) == ("SUCCEEDED", at_ms, "1")
    assert (changed["s"].status, changed["s"].due_ms) == ("PENDING", None), "it waits for its turn, not for its timer"
    assert millis(waiting.backend.clock.now()) == at_ms


@pytest.mark.parametrize(("after_ms", "is_ended"), [(-1, True), (0, True), (1, False)])
def test_a_timer_that_is_not_recorded_goes_before_what_was_recorded_later(
    after_ms: int, is_ended: bool, waiting: Waiting
) -> None:
    changed = waiting.end_next(ended("d", 8, WAIT_MS + after_ms))
    assert ("d" in changed) is is_ended


def test_recorded_timers_do_not_keep_others_waiting(waiting: Waiting) -> None:
    changed = waiting.end_next(
        ended("w", 10, CALLBACK_MS + 2), ended("s", 9, CALLBACK_MS + 1), ended("c", 8, CALLBACK_MS)
    )
    assert changed["c"].status == "SUCCEEDED"


def test_a_wait_keeps_its_scheduled_end_and_a_step_has_no_next_attempt(waiting: Waiting) -> None:
    later_ms = WAIT_MS + 700  # the service was late
    assert waiting.end_next(ended("w", 8, later_ms))["w"][10:13] == (0, None, WAIT_MS)
    step = waiting.end_next(ended("s", 9, later_ms, attempt=3))["s"]
    assert (step.attempt, step.due_ms, step.scheduled_ms) == (3, None, None)


def test_recorded_events_happen_at_their_time_but_not_before_the_end(waiting: Waiting) -> None:
    at_ms = START_MS + 10_000
    late = ("CallbackSucceeded", at_ms + 5_000, None, "1")
    waiting.end_next(ended("d", 8, at_ms, result="1", events=(("CallbackStarted", at_ms - 5, None, None), late)))
    first, second = history(waiting.engine, waiting.arn)[-2:]
    assert [millis(one["EventTimestamp"]) for one in (first, second)] == [at_ms - 5, at_ms]


def test_a_given_outcome_ends_one_call_at_a_time_and_neither_waits_nor_retries(waiting: Waiting) -> None:
    given: dict[str, Wire] = {name: {"result": f'"{name}"'} for name in "spwcd"}
    changed = waiting.end_next(given=given)
    assert changed.keys() == {"c"}, "a step whose body runs is not over, one that retries has an attempt to come"
    assert (changed["c"].status, changed["c"].result, changed["c"].due_ms) == ("SUCCEEDED", '"c"', None)
    assert waiting.end_next(given=given).keys() == {"d"}
    assert waiting.end_next(given=given) == {}


def test_a_given_outcome_of_a_step_is_its_next_attempt(waiting: Waiting) -> None:
    changed = waiting.end_next(parked="p", given={"p": {"result": "1"}})["p"]
    assert (changed.status, changed.attempt, changed.result, changed.error) == ("SUCCEEDED", 1, "1", None)
    event = history(waiting.engine, waiting.arn)[-1]
    assert (event["EventType"], details(event)) == (
        "StepSucceeded",
        {"Result": {"Payload": "1"}, "RetryDetails": {"CurrentAttempt": 1}},
    )


def test_a_given_error_fails_a_call(waiting: Waiting) -> None:
    changed = waiting.end_next(given={"d": {"error": {"ErrorMessage": "no"}}})["d"]
    assert (changed.status, changed.attempt, changed.result, changed.error) == (
        "FAILED",
        0,
        None,
        '{"ErrorMessage":"no"}',
    )
    event = history(waiting.engine, waiting.arn)[-1]
    assert (event["EventType"], details(event)) == ("CallbackFailed", {"Error": {"Payload": {"ErrorMessage": "no"}}})


def test_what_is_recorded_goes_before_what_is_given(waiting: Waiting) -> None:
    changed = waiting.end_next(ended("d", 8, START_MS, result="1"), given={"d": {"result": "2"}})["d"]
    assert changed.result == "1"


def test_a_step_whose_body_waits_is_open_until_it_ends(waiting: Waiting) -> None:
    changed = waiting.end_next(parked="p?")
    assert {id_: one.status for id_, one in changed.items()} == {"p": "PENDING"}, (
        "one that has not started is not stored"
    )
    assert waiting.end_next(ended("p", 8, START_MS, attempt=1), parked="p")["p"].status == "SUCCEEDED"
    assert waiting.end_next(parked="p") == {}, "it has ended"
