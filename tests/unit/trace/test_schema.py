"""Replay traces: read, written, cut off, from the future."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_execution.call_site import CallSite
from durable_execution.history.reading import execution_of_traces
from durable_execution.trace import read_traces, write_traces
from durable_execution.trace.reader import json_schema
from durable_execution.trace.schema import VERSION, InvocationTrace, TraceAttempt, TraceEntry, UnreadableTraceError
from tests.unit.test_divergence import EXAMPLE

HEADER = {"record": "invocation", "schema": "durable-replay-trace", "version": VERSION, "execution_arn": "arn"}
CALL = {"record": "call", "seq": 1, "id": "x", "path": "f/a", "type": "STEP"}
END = {"record": "end", "outcome": "PENDING"}


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


short = st.text(max_size=8)
maybe = st.none() | short
entries = st.builds(
    TraceEntry,
    seq=st.integers(1, 10**6),
    id=st.text(min_size=1, max_size=8),
    path=short,
    type=st.sampled_from(["STEP", "WAIT"]),
    parent_id=maybe,
    position=st.none() | st.integers(0, 99),
    name=maybe,
    call_site=st.none() | st.builds(CallSite, short, st.integers(1, 99), short),
    happened=st.sampled_from(["executed", "replayed", "pending"]),
    status=maybe,
    at=st.none() | st.floats(0, 1e6),
    attempt=st.none() | st.integers(1, 9),
    attempts=st.lists(st.builds(TraceAttempt, number=st.integers(1, 9), outcome=maybe), max_size=2).map(tuple),
    configuration=st.dictionaries(short, st.integers(), max_size=2),
    result_digest=maybe,
    result=maybe,
    locals=st.dictionaries(short, short, max_size=2),
    is_virtual=st.booleans(),
    body=maybe,
    extra=st.dictionaries(st.just("later_member"), st.integers(), max_size=1),
)
traces = st.builds(
    InvocationTrace,
    execution_arn=st.text(min_size=1, max_size=8),
    invocation=st.just(1),
    request_id=maybe,
    handler=maybe,
    started_at=st.none() | st.datetimes(min_value=datetime(2020, 1, 1), timezones=st.just(UTC)),
    outcome=maybe,
    entries=st.lists(entries, max_size=4, unique_by=lambda entry: entry.seq).map(
        lambda found: tuple(sorted(found, key=lambda entry: entry.seq))
    ),
    divergences=st.sampled_from([(), (EXAMPLE,)]),
    is_complete=st.just(True),
    extra=st.dictionaries(st.just("region"), short, max_size=1),
    unknown=st.sampled_from([(), ({"record": "frame", "seq": 1},)]),
)


@settings(max_examples=20)
@given(st.lists(traces, min_size=1, max_size=2))
def test_a_round_trip_loses_nothing(written: list[InvocationTrace]) -> None:
    numbered = tuple(replace(trace, invocation=number) for number, trace in enumerate(written, start=1))
    assert read_traces("".join(write_traces(numbered))) == numbered


@given(st.integers(0, 400))
def test_a_trace_that_is_cut_off_is_read_as_far_as_it_goes(length: int) -> None:
    whole = lines(HEADER, CALL, {**CALL, "seq": 2}, {"record": "ended", "seq": 1, "status": "SUCCEEDED"}, END)
    text = whole[:length]
    if "\n" not in text and length < len(lines(HEADER)) - 1:
        with pytest.raises(UnreadableTraceError):
            read_traces(text)
        return
    (trace,) = read_traces(text)
    assert trace.is_complete == (length >= len(whole) - 1)
    assert len(trace.entries) <= 2
    assert trace.is_complete or any("stops" in note for note in trace.notes)


def test_a_call_and_its_end_are_one_entry() -> None:
    ended = {
        "record": "ended",
        "seq": 1,
        "status": "FAILED",
        "error_type": "ValueError",
        "attempt": 2,
        "weather": "fine",
    }
    attempt = {"record": "attempt", "seq": 1, "number": 1, "outcome": "FAILED", "next_attempt_delay_seconds": 3}
    (trace,) = read_traces(lines(HEADER, {**CALL, "at": 0.5}, attempt, ended, END))
    (entry,) = trace.entries
    assert (entry.happened, entry.status, entry.error_type, entry.at) == ("executed", "FAILED", "ValueError", 0.5)
    assert entry.attempts == (TraceAttempt(1, outcome="FAILED", next_attempt_delay_seconds=3),)
    assert entry.extra == {"weather": "fine"}


def test_what_has_not_ended_is_pending_and_what_diverged_says_so() -> None:
    diverged = {"record": "diverged", "seq": 1, "divergence": EXAMPLE.to_wire()}
    (trace,) = read_traces(lines(HEADER, CALL, diverged, {**CALL, "seq": 2}, END))
    assert [entry.happened for entry in trace.entries] == ["diverged", "pending"]
    assert trace.divergences == (EXAMPLE,)


def test_invocations_follow_one_another() -> None:
    found = read_traces(lines(HEADER, CALL, END, HEADER, CALL, CALL | {"seq": 2}))
    assert [(trace.invocation, len(trace.entries), trace.is_complete) for trace in found] == [
        (1, 1, True),
        (2, 2, False),
    ]


def test_a_newer_version_is_read_with_a_note_and_written_back_whole() -> None:
    newer = {**HEADER, "version": VERSION + 1, "shape": "new"}
    text = lines(newer, {"record": "frame", "locals": {}}, {**CALL, "colour": "red"}, END)
    (trace,) = read_traces(text)
    assert f"written in schema version {VERSION + 1}" in trace.notes[0]
    again = [json.loads(line) for line in write_traces([trace])]
    assert again[0]["shape"] == "new"
    assert {"record": "frame", "locals": {}} in again
    assert any(line.get("colour") == "red" for line in again)


def test_garbage_in_the_middle_is_left_out() -> None:
    text = lines(HEADER, CALL) + "{half\n" + lines({"record": "call", "seq": "two"}, {"record": "ended", "seq": 9}, END)
    (trace,) = read_traces(text)
    assert len(trace.entries) == 1
    assert len(trace.notes) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("hello", "hello"), (lines(CALL), "'call'"), (lines({**HEADER, "schema": "x"}), "schema is 'x'"),
     (lines({"record": "invocation"}), "execution_arn"), ("[1]\n", "[1]")],
)  # fmt: skip
def test_what_is_no_trace_is_refused_with_a_hint(text: str, words: str) -> None:
    with pytest.raises(UnreadableTraceError, match="DURABLE_REPLAY_TRACE") as caught:
        read_traces(text)
    assert words in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_traces(lines(HEADER) + text)
    except UnreadableTraceError:
        pytest.fail("the header was fine")


def test_the_schema_names_every_kind_of_line() -> None:
    assert len(json_schema()["anyOf"]) == 8


@pytest.mark.parametrize(
    "damaged",
    [{"last": 10**15}, {"last": 90_000_000}, {"first": 9, "last": 2}, {"cuts": ""}, {"at": float("nan")}, {"at": 1e300}],
    ids=str,
)  # fmt: skip
def test_a_run_that_cannot_be_is_ignored_with_a_note(damaged: dict[str, Any]) -> None:
    """A damaged position would otherwise stand for billions of calls."""
    header = HEADER
    run = {"record": "replayed", "first": 1, "last": 100, "cuts": "0" * 12, "at": 0.5}
    (whole,) = read_traces("\n".join(map(json.dumps, [header, run])))
    (read,) = read_traces("\n".join(map(json.dumps, [header, run | damaged])))
    assert not [note for note in whole.notes if "line 2" in note]
    assert [note for note in read.notes if "line 2" in note]


def test_an_attempt_with_a_member_that_does_not_exist_is_ignored_with_a_note() -> None:
    call: dict[str, Any] = {"record": "call", "seq": 1, "id": "a", "path": "x", "type": "STEP", "at": 1.0}
    call["attempts"] = [{"number": 1, "started": 1.0, "ended2": 2.0}]
    (read,) = read_traces("\n".join(map(json.dumps, [HEADER, call])))
    assert [note for note in read.notes if "line 2" in note] or read.entries


@pytest.mark.parametrize("started_at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
def test_times_at_the_end_of_the_calendar_are_left_out(started_at: str) -> None:
    header = HEADER | {"started_at": started_at}
    call = {
        "record": "call",
        "seq": 1,
        "id": "a",
        "path": "x",
        "type": "STEP",
        "at": 3600.0,
        "ended": 7200.0,
        "status": "SUCCEEDED",
    }
    execution = execution_of_traces(read_traces("\n".join(map(json.dumps, [header, call]))))
    assert [operation.started_at for operation in execution.operations] == [None]
