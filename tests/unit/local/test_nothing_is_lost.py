"""For any batches, and a crash after any of them: what was acknowledged is what the next invocation is given."""

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from durable_execution.local import EngineLimits, LocalEngine, SkippingClock
from durable_execution.protocol import Operation, Wire
from tests.unit.local.conftest import START
from tests.unit.local.scripts import Session, callback, context, done, history, register, retry, step, wait

IDS = st.sampled_from(["a", "b", "c", "d"])
ERROR = {"ErrorMessage": "no"}
UPDATES = st.one_of(
    st.builds(lambda identity, payload: step(identity, "SUCCEED", Payload=payload), IDS, st.text(max_size=5)),
    st.builds(lambda identity: step(identity, "START"), IDS),
    st.builds(lambda identity: step(identity, "FAIL", Error=ERROR), IDS),
    st.builds(lambda identity, seconds: retry(identity, seconds, Payload="1"), IDS, st.integers(1, 9)),
    st.builds(lambda identity, seconds: wait(f"w{identity}", seconds), IDS, st.integers(1, 9)),
    st.builds(lambda identity: callback(f"k{identity}"), IDS),
    st.builds(lambda identity, action: context(f"x{identity}", action), IDS, st.sampled_from(["START", "SUCCEED"])),
    st.builds(lambda identity: step(f"{identity}-in", "START", ParentId=f"x{identity}"), IDS),
)
BATCHES = st.lists(st.lists(UPDATES, max_size=4), min_size=1, max_size=8)


def seen(operations: dict[str, Wire]) -> dict[str, Any]:
    """What matters of operations, whatever clothes their timestamps wear."""
    return {
        identity: (wire["Status"], wire.get("ParentId"), Operation(wire).details.get("Result"), Operation(wire).error)
        for identity, wire in operations.items()
        if wire["Type"] != "EXECUTION"
    }


class Sender:
    """A handler that sends batches until it crashes, and then compares."""

    def __init__(self, engine: LocalEngine, batches: list[list[Wire]], crash_after: int) -> None:
        self.engine = engine
        self.batches = batches
        self.crash_after = crash_after
        self.acknowledged: dict[str, Wire] = {}
        self.events = 0
        self.has_crashed = False

    def __call__(self, session: Session) -> Wire:
        if self.has_crashed:
            expected = seen(self.acknowledged)
            closed = {identity for identity, found in self.acknowledged.items() if self._is_closed(found)}
            visible = {identity: value for identity, value in expected.items() if value[1] not in closed}
            assert seen(session.operations) == visible
            return done()
        for batch in self.batches[: self.crash_after]:
            with contextlib.suppress(session.client.exceptions.InvalidParameterValueException):
                session.send(*batch)
            self.acknowledged = dict(session.operations)
            events = history(self.engine, session.arn)
            assert [event["EventId"] for event in events] == list(range(1, len(events) + 1))
            assert len(events) >= self.events
            self.events = len(events)
        self.has_crashed = True
        raise ConnectionResetError

    @staticmethod
    def _is_closed(wire: Wire) -> bool:
        return bool(wire["Type"] == "CONTEXT" and "EndTimestamp" in wire)


# Nothing may come due between the crash and the retry, so that what is compared is what was acknowledged.
AT_ONCE = EngineLimits(retry_delay=EngineLimits().retry_delay * 0)


@given(batches=BATCHES, crash_after=st.integers(0, 8))
def test_a_retried_invocation_is_given_all_that_was_acknowledged(batches: list[list[Wire]], crash_after: int) -> None:
    with LocalEngine(None, time="skip", limits=AT_ONCE) as engine:
        sender = Sender(engine, batches, crash_after)
        register(engine, sender)
        result = engine.run("flow")
    assert result.status == "SUCCEEDED", result.error


@settings(max_examples=15)
@given(batches=BATCHES)
def test_an_engine_started_on_the_file_is_given_all_that_was_acknowledged(batches: list[list[Wire]]) -> None:
    with TemporaryDirectory() as directory:
        file = Path(directory) / "executions.db"
        with LocalEngine(file, clock=SkippingClock(START), limits=AT_ONCE, trace_sink=False) as first:
            sender = Sender(first, batches, len(batches))
            outer = sender

            def until_crashed(session: Session) -> Wire:
                if outer.has_crashed:
                    raise ConnectionResetError
                return outer(session)

            register(first, until_crashed)
            arn = first.start("flow")
            first.run_until(lambda: sender.has_crashed, skips="nothing")
        with LocalEngine(file, clock=SkippingClock(START), limits=AT_ONCE, trace_sink=False) as second:
            sender.engine = second
            register(second, sender)
            second.resume()
            assert second.wait(arn).status == "SUCCEEDED"
