"""Limits and waiting times of the runtime, at their edges."""

import asyncio
import json
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from durable_execution import StepConfig
from durable_execution.errors import ConfigurationError, ServiceError
from durable_execution.protocol import operation_id
from durable_execution.runtime import loop as loop_module
from durable_execution.runtime.body_threads import BodyTimes
from durable_execution.runtime.guard import _lasts_as_recorded
from durable_execution.runtime.reply import Reply
from durable_execution.runtime.scope import OperationIdGenerator, check_name, misplaced
from durable_execution.runtime.transport import Timeouts, Transport, _read, _unanswered, check_time

CODE = (lambda: 1).__code__
START = 1_767_225_600_000


def waited(milliseconds: int, **members: Any) -> dict[str, Any]:
    wire = {"StartTimestamp": START, "WaitDetails": {"ScheduledEndTimestamp": START + milliseconds}}
    return {**wire, **members}


@pytest.mark.parametrize(
    ("milliseconds", "is_same"), [(3_999, False), (4_000, True), (5_000, True), (6_000, True), (6_001, False)]
)
def test_a_wait_lasts_as_recorded_to_the_second(milliseconds: int, is_same: bool) -> None:
    """Its start and its end are both rounded."""
    assert _lasts_as_recorded({"wait_seconds": 5}, waited(milliseconds)) is is_same


@pytest.mark.parametrize(
    ("configuration", "wire"),
    [
        ({"wait_seconds": 5, "has_jitter": True}, waited(5_000)),
        ({}, waited(5_000)),
        ({"wait_seconds": "5"}, waited(5_000)),
        ({"wait_seconds": 5}, {"StartTimestamp": START}),
        ({"wait_seconds": 5}, waited(5_000, WaitDetails={})),
        ({"wait_seconds": 5}, waited(5_000, StartTimestamp=None)),
        ({"wait_seconds": 5}, {"StartTimestamp": 100, "WaitDetails": {"ScheduledEndTimestamp": 5_100}}),
    ],
    ids=["jitter", "nothing", "text", "no details", "no end", "no start", "seconds"],
)
def test_what_a_quick_look_does_not_tell_is_looked_at_again(
    configuration: dict[str, Any], wire: dict[str, Any]
) -> None:
    assert not _lasts_as_recorded(configuration, wire)


def test_a_body_is_short_after_three_short_runs_until_it_is_not() -> None:
    times = BodyTimes()
    for expected in (False, False, True):
        times.note(CODE, 0.0009)
        assert times.is_short(CODE) is expected
    times.note(CODE, 0.001)
    assert (times.is_short(CODE), times.may_be_short(CODE)) == (False, False)
    times.note(CODE, 0.0009)
    assert (times.is_short(CODE), times.may_be_short(CODE)) == (False, True)


def test_a_body_is_long_after_a_quarter_of_a_second() -> None:
    times = BodyTimes()
    times.note(CODE, 0.2499)
    assert not times.is_long(CODE)
    times.note(CODE, 0.25)
    assert times.is_long(CODE)
    for expected in (False, False, True):
        times.note(CODE, 0.0)
        assert times.is_short(CODE) is expected, "a long run counts for nothing"
        assert not times.is_long(CODE)


def test_a_body_that_has_not_run_may_be_short_and_is_not_relied_on() -> None:
    times = BodyTimes()
    for code in (CODE, None):
        assert (times.is_short(code), times.is_long(code), times.may_be_short(code)) == (False, False, True)


def transport(**endpoint: Any) -> Transport:
    made = Transport.__new__(Transport)
    made._endpoint = cast("Any", SimpleNamespace(connect_timeout=5.0, read_timeout=10.0, **endpoint))
    made._jitter = cast("Any", SimpleNamespace(random=lambda: 1.0))
    return made


def test_the_delay_before_an_attempt_doubles_up_to_twenty_seconds() -> None:
    assert [transport()._backoff(attempt) for attempt in range(1, 8)] == [1, 2, 4, 8, 16, 20, 20]


def test_a_delay_is_random_and_below_its_limit() -> None:
    made = transport()
    made._jitter = None
    assert len({made._backoff(1) for _ in range(20)}) > 1
    assert all(0 <= made._backoff(2) < 2 for _ in range(20))


@pytest.mark.parametrize(
    ("remaining", "timeouts"),
    [
        (None, Timeouts(5, 10)),
        (100.0, Timeouts(5, 10)),
        (15.05, Timeouts(5, 10)),
        (12.05, Timeouts(5, 10, 12)),
        (8.05, Timeouts(5, 8, 8)),
        (1.05, Timeouts(1, 1, 1)),
        (0.0, Timeouts(0.05, 0.05, 0.05)),
    ],
)
def test_an_attempt_ends_with_the_invocation(remaining: float | None, timeouts: Timeouts) -> None:
    """With a margin of 50 ms for what comes after it."""
    found = transport()._timeouts(None if remaining is None else lambda: remaining)
    assert found == pytest.approx(timeouts) if timeouts.total is not None else found == timeouts


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("is_forked", [True, False])
def test_only_the_process_that_made_a_loop_closes_it_and_only_at_rest(
    is_running: bool, is_forked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    loop = cast("Any", SimpleNamespace(is_running=lambda: is_running, close=lambda: closed.append(True)))
    monkeypatch.setattr(loop_module, "_kept", loop_module._Kept())
    loop_module._close_quietly(loop, os.getpid() + is_forked)
    assert closed == [True] * (not is_running and not is_forked)
    assert list(loop_module._kept.loops) == [loop] * is_forked


def test_turns_are_known_of_the_loops_of_the_sdk_only() -> None:
    other = asyncio.new_event_loop()
    try:
        assert loop_module.turns_of(other) is None
    finally:
        other.close()


@pytest.mark.parametrize(
    ("kind", "name", "called"),
    [
        ("step", None, "a step"),
        ("invoke", None, "an invoke"),
        ("operation", None, "an operation"),
        ("race", None, "a race"),
        ("step", "charge", "step 'charge'"),
        ("invoke", "", "an invoke"),
    ],
)
def test_a_call_is_spoken_of_by_its_name_or_with_an_article(kind: str, name: str | None, called: str) -> None:
    assert str(misplaced(kind, name, None, cast("Any", None))).startswith(
        f"{called} was called on the context of another"
    )


@pytest.mark.parametrize("name", ["x", "x" * 256, " ", "~"])
def test_a_name_has_1_to_256_printable_characters(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "x" * 257, "é", "a\x7f", "a\tb", 5, None, b"a"])
def test_a_name_that_the_service_does_not_accept_is_refused(name: object) -> None:
    with pytest.raises(ConfigurationError, match="must be 1 to 256 printable ASCII characters"):
        check_name(name)


def test_a_configuration_in_the_place_of_a_name_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"StepConfig\(\.\.\.\) is in the place of the operation's name"):
        check_name(StepConfig())


def test_ids_are_numbered_from_one_and_looked_at_without_being_reserved() -> None:
    numbering = OperationIdGenerator("p")
    ids = [operation_id("p", number) for number in range(4)]
    assert (numbering.peek(), numbering.peek(2), numbering.position) == (ids[1], ids[2], 0)
    assert [numbering.next_id(), numbering.next_id()] == ids[1:3]
    assert (numbering.position, numbering.peek(0), numbering.peek()) == (2, ids[2], ids[3])


def test_a_task_that_survives_its_cancellation_is_abandoned_after_five_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[int] = []

    class Stubborn:
        _log_destroy_pending = True

        def __init__(self, rounds: int | None) -> None:
            self.rounds = rounds

        def done(self) -> bool:
            return self.rounds == 0

        def cancel(self) -> None:
            cancelled.append(1)
            if self.rounds is not None:
                self.rounds -= 1

    monkeypatch.setattr(loop_module, "_kept", loop_module._Kept())
    stubborn = Stubborn(None)
    for task, left, rounds in ((Stubborn(0), 0, 0), (Stubborn(1), 0, 1), (Stubborn(4), 0, 4), (stubborn, 1, 5)):
        cancelled.clear()
        assert asyncio.run(loop_module.cancel_all(cast("Any", [task]))) == left
        assert len(cancelled) == rounds
    assert list(loop_module._kept.tasks) == [cast("Any", stubborn)]
    assert not stubborn._log_destroy_pending, "asyncio would complain about it when it is collected"


def reply(status: int, data: object, **headers: str) -> Reply:
    return Reply(status, headers, data if isinstance(data, bytes) else json.dumps(data).encode())


@pytest.mark.parametrize("member", ["message", "Message", "errorMessage"])
def test_the_text_of_a_refusal_is_in_any_of_three_members(member: str) -> None:
    answer, error = _read(reply(400, {member: "no", "__type": "com.amazon#InvalidParameterValueException:x"}))
    assert answer == {}
    assert error is not None
    assert (error.code, error.message, error.status) == ("InvalidParameterValueException", "no", 400)


def test_the_code_of_a_refusal_is_in_its_header_first() -> None:
    header = {"x-amzn-errortype": "A:http://x"}
    errors = [
        _read(reply(400, {"__type": "B", "code": "C"}, **header))[1],
        _read(reply(400, {"__type": "B", "code": "C"}))[1],
        _read(reply(400, {"code": "C"}))[1],
        _read(reply(400, {}))[1],
        _read(reply(502, b""))[1],
    ]
    assert [(error.code, error.message) for error in errors if error] == [
        ("A", ""), ("B", ""), ("C", ""), ("Http400", ""), ("Http502", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(("status", "shown"), [(200, None), (299, None), (300, 300), (502, 502)])
def test_an_answer_that_is_no_object_is_shown_in_120_bytes(status: int, shown: int | None) -> None:
    _, error = _read(reply(status, b"x" * 121))
    assert error is not None
    assert error.status == shown
    assert f"Lambda API: {'x' * 120!r}." in error.message
    assert _read(reply(299, {"a": 1})) == ({"a": 1}, None)


@pytest.mark.parametrize(("seconds", "is_late"), [(0.05, True), (0.06, False), (None, False)])
def test_no_call_is_started_in_the_last_50_milliseconds(seconds: float | None, is_late: bool) -> None:
    remaining = None if seconds is None else lambda: seconds
    if is_late:
        with pytest.raises(ServiceError, match="it was not started"):
            check_time(remaining)
    else:
        check_time(remaining)


@pytest.mark.parametrize(("seconds", "is_late"), [(0.1, True), (0.11, False), (None, False)])
def test_a_call_without_an_answer_at_the_end_came_too_late(seconds: float | None, is_late: bool) -> None:
    remaining = None if seconds is None else lambda: seconds
    error = _unanswered(OSError("gone"), "https://x", remaining)
    assert ("it was not answered in time" in error.message) is is_late
    assert is_late or (error.code, error.status) == ("HTTPClientError", None)
