"""Every planted state is recognized, with its place, its times and what helps; nothing is invented."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from durable_execution.call_site import CallSite
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side
from durable_execution.explain import Explanation, StateKind, explain_execution
from durable_execution.explain.facts import duration
from durable_execution.history.recorded import RecordedExecution
from tests.explain.planted import ARN, CHILD_ARN, History, at

K = StateKind
FRAME = "orders.py:40 in charge: raise CardDeclinedError()"


@dataclass(frozen=True)
class Planted:
    """One state.

    Attributes:
        made: Makes the history.
        state: Expected state.
        place: Expected path of the place.
        says: What the headline, the causes or the advice must contain.
        status: What GetDurableExecution says beside the history.
        until: When the state ends by itself, in seconds after the start.
        now: The time up to which the execution is known, in seconds after the start.
        warns: Kinds of warnings, in order.
    """

    made: Callable[[], History]
    state: StateKind
    place: str | None = None
    says: tuple[str, ...] = ()
    status: str | None = None
    until: float | None = None
    now: float = 100
    warns: tuple[str, ...] = ()


def begun() -> History:
    return History().started().step("reserve", 1)


def many(count: int) -> History:
    history = History().started()
    for number in range(count):
        history.step(f"s{number}", 1)
    return history.wait("pause", 10, 3600).invoked(0, 20)


def storm() -> History:
    history = History().started()
    for number in range(12):
        history.step(f"s{number}", 1, error="GatewayDownError: 503", delay=60)
    return history.invoked(0, 20)


def in_child() -> History:
    history = History().started()
    id_ = history.next_id()
    more = {"Name": "billing", "SubType": "RunInChildContext"}
    history.event("ContextStarted", 1, id_, **more)
    history.step("charge", 2, error="CardDeclinedError: no", parent=id_, frame=FRAME)
    history.event("ContextFailed", 3, id_, Error=history.events[-1]["StepFailedDetails"]["Error"], **more)
    return history.ended("Failed", 4, error="CardDeclinedError: no")


PLANTED = {
    "timer": Planted(lambda: begun().wait("pause", 10, 3600).invoked(0, 11), K.WAITING_FOR_TIMER, "orders/pause", ("due in 58 min 30 s",), until=3610),
    "timer overdue": Planted(lambda: begun().wait("pause", 10, 30).invoked(0, 11), K.WAITING_FOR_TIMER, "orders/pause", ("due 1 min ago",), until=40),
    "two timers": Planted(lambda: begun().wait("short", 10, 60).wait("long", 10, 600).invoked(0, 11), K.WAITING_FOR_TIMER, "orders/long", until=610),
    "callback with a timeout": Planted(lambda: begun().callback("approval", 10, Timeout=600).invoked(0, 11), K.WAITING_FOR_CALLBACK, "orders/approval", ("callback succeed callback-1", "due in 8 min 30 s"), until=610),
    "callback without a timeout": Planted(lambda: begun().callback("approval", 10).invoked(0, 11), K.WAITING_FOR_CALLBACK, "orders/approval", ("has no timeout", "give create_callback a timeout")),
    "callback with a late heartbeat": Planted(lambda: begun().callback("approval", 10, Timeout=600, HeartbeatTimeout=30).invoked(0, 11), K.WAITING_FOR_CALLBACK, "orders/approval", until=610, warns=("heartbeat",)),
    "callback beside a timer": Planted(lambda: begun().wait("limit", 10, 60).callback("approval", 10).invoked(0, 11), K.WAITING_FOR_CALLBACK, "orders/approval"),
    "callback beside a retry": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", delay=60).callback("approval", 10).invoked(0, 11), K.WAITING_FOR_CALLBACK, "orders/approval"),
    "invoke": Planted(lambda: begun().invoke("bill", 10).invoked(0, 11), K.WAITING_FOR_INVOKE, "orders/bill", (f"durable-debug explain {CHILD_ARN}",)),
    "invoke of a plain function": Planted(lambda: begun().invoke("bill", 10, arn=None).invoked(0, 11), K.WAITING_FOR_INVOKE, "orders/bill"),
    "retry pending": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", delay=300).invoked(0, 11), K.RETRY_PENDING, "orders/charge", ("attempt 2", "GatewayDownError: 503"), until=302.5),
    "third retry pending": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", attempts=3, delay=300).invoked(0, 11), K.RETRY_PENDING, "orders/charge", ("attempt 4",), until=304.5),
    "retry beside a timer": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", delay=300).wait("pause", 3, 30).invoked(0, 11), K.RETRY_PENDING, "orders/charge", until=302.5),
    "retry storm of one step": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", attempts=14, delay=300).invoked(0, 30), K.RETRY_STORM, "orders/charge", ("14 times", "durable-debug stop"), until=315.5),
    "retry storm of many steps": Planted(storm, K.RETRY_STORM, None, ("12 steps",), until=61.5),
    "condition": Planted(lambda: begun().step("ready", 2, error="x: y", delay=60, subtype="WaitForCondition").invoked(0, 11), K.RETRY_PENDING, "orders/ready", ("next check",), until=62.5),
    "paused": Planted(lambda: begun().wait("pause", 10, 3600).invoked(0, 11).event("ExecutionPaused", 12), K.PAUSED, "orders/pause", ("ResumeDurableExecution",)),
    "pausing": Planted(lambda: begun().step("charge", 2, ends=False), K.PAUSING, "orders/charge", status="PAUSING"),
    "function timeout": Planted(lambda: begun().step("charge", 2, ends=False).invoked(0, 900, error="Sandbox.Timedout: Task timed out after 900.00 seconds"), K.FUNCTION_TIMEOUT, "orders/charge", ("timeout",)),
    "throttled": Planted(lambda: begun().wait("pause", 10, 30, ends=True).invoked(0, 11).invoked(40, 40, error="TooManyRequestsException: Rate Exceeded"), K.THROTTLED, None, ("concurrency",)),
    "import error": Planted(lambda: History().started().invoked(0, 1, error="Runtime.ImportModuleError: No module named 'stripe'"), K.FAILING_BEFORE_HANDLER, "handler", ("stripe", "fix the deployment")),
    "handler not found": Planted(lambda: begun().wait("pause", 10, 30, ends=True).invoked(0, 11).invoked(40, 41, error="Runtime.HandlerNotFound: Handler 'app.main' missing"), K.FAILING_BEFORE_HANDLER, "handler"),
    "invocations fail": Planted(lambda: begun().invoked(0, 2, error="InvocationError: database is down").invoked(3, 4, error="InvocationError: database is down"), K.INVOCATIONS_FAILING, "orders/reserve", ("last 2 invocations", "database is down")),
    "recovered invocation": Planted(lambda: begun().invoked(0, 2, error="InvocationError: x").wait("pause", 10, 3600).invoked(3, 11), K.WAITING_FOR_TIMER, "orders/pause", until=3610),
    "result too large": Planted(lambda: begun().ended("Failed", 5, error="Function.ResponseSizeTooLarge: Response payload size exceeded maximum"), K.RESULT_TOO_LARGE, None, ("reference",)),
    "operations near the quota": Planted(lambda: many(2_800), K.QUOTA_NEAR, "orders/pause", ("2,801 of 3,000",), warns=("operations_quota",)),
    "no history": Planted(History, K.HISTORY_UNAVAILABLE, None, ("lambda:GetDurableExecutionHistory",), status="RUNNING"),
    "incomplete history": Planted(lambda: History(events=[{**event, "EventId": 20 + n} for n, event in enumerate(begun().events[1:])]), K.HISTORY_INCOMPLETE),
    "running a step": Planted(lambda: begun().step("charge", 2, ends=False), K.RUNNING, "orders/charge"),
    "running between calls": Planted(begun, K.RUNNING, "orders/reserve"),
    "just started": Planted(lambda: History().started(), K.RUNNING),
    "failed step": Planted(lambda: begun().step("charge", 2, error="CardDeclinedError: no", frame=FRAME).ended("Failed", 4, error="CardDeclinedError: no"), K.FAILED, "orders/charge", ("CardDeclinedError: no",)),
    "failed after retries": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", attempts=3).ended("Failed", 8, error="GatewayDownError: 503"), K.FAILED, "orders/charge", ("after 3 attempts",)),
    "failed in a child": Planted(in_child, K.FAILED, "orders/billing/charge", ("orders/billing/charge failed with CardDeclinedError: no",)),
    "failed in the handler": Planted(lambda: begun().ended("Failed", 4, error="ValueError: no stock", frame="orders.py:12 in handler: raise"), K.FAILED, "handler", ("ValueError: no stock",)),
    "nondeterminism": Planted(lambda: begun().ended("Failed", 4, error="durable_execution.errors.NondeterminismError: Nondeterminism in orders at call 2: skipped"), K.DIVERGED, "handler", ("skipped", "durable-debug replay")),
    "stopped": Planted(lambda: begun().wait("pause", 10, 3600).invoked(0, 11).ended("Stopped", 20, error="Maintenance: window"), K.STOPPED, "orders/pause", ("Maintenance: window",)),
    "timed out": Planted(lambda: begun().callback("approval", 10).invoked(0, 11).ended("TimedOut", 86_410), K.TIMED_OUT, "orders/approval", ("ExecutionTimeout",)),
    "succeeded": Planted(lambda: begun().invoked(0, 3).ended("Succeeded", 3), K.SUCCEEDED, None, ("after 3 s",)),
    "succeeded after retries": Planted(lambda: begun().retried("charge", 2, error="GatewayDownError: 503", attempts=3).invoked(0, 8).ended("Succeeded", 8), K.SUCCEEDED_WITH_ODDITIES, warns=("retries",)),
    "succeeded after a failed invocation": Planted(lambda: begun().invoked(0, 2, error="InvocationError: x").invoked(3, 4).ended("Succeeded", 4), K.SUCCEEDED_WITH_ODDITIES, warns=("failed_invocation",)),
    "succeeded after a slow resume": Planted(lambda: begun().wait("pause", 10, 30, ends=True).invoked(0, 11).invoked(400, 401).ended("Succeeded", 401), K.SUCCEEDED_WITH_ODDITIES, warns=("slow_resume",)),
}  # fmt: skip


def explained(planted: Planted) -> Explanation:
    execution = planted.made().read(execution={"Status": planted.status} if planted.status else None)
    return explain_execution(execution, as_of=at(planted.now))


def recognized(planted: Planted) -> Explanation:
    """Explain a planted state, and check the explanation against what was planted."""
    found = explained(planted)
    assert found.state is planted.state, found.text
    if planted.place is not None:
        assert found.place is not None
        assert found.place.path == planted.place
    assert found.until == (at(planted.until) if planted.until is not None else None)
    for text in planted.says:
        assert text in found.text
    assert tuple(one.kind for one in found.warnings) == planted.warns
    return found


@pytest.mark.parametrize("title", PLANTED)
def test_a_planted_state_is_recognized(title: str) -> None:
    recognized(PLANTED[title])


@pytest.mark.parametrize("title", PLANTED)
def test_the_json_form_has_a_version_and_every_member(title: str) -> None:
    wire = json.loads(json.dumps(explained(PLANTED[title]).to_wire()))
    assert (wire["schema"], wire["version"]) == ("durable-explanation", 1)
    assert wire["state"] == PLANTED[title].state.value
    assert wire["headline"].rstrip(".")
    assert wire["is_inferred"] is False


def test_there_are_enough_of_them() -> None:
    assert len(PLANTED) >= 40
    assert {one.state for one in PLANTED.values()} == set(StateKind)


def test_the_line_of_an_error_is_the_place() -> None:
    found = explained(PLANTED["failed step"])
    assert found.place is not None
    assert found.place.call_site == CallSite("orders.py", 40, "charge")


def test_an_invoked_execution_is_followed_to_what_it_waits_for() -> None:
    inner = History(CHILD_ARN).started().callback("approval", 10, Timeout=600).invoked(0, 11).read()
    outer = begun().invoke("bill", 10).invoked(0, 11).read()
    looked: list[str] = []

    def look(arn: str) -> RecordedExecution | None:
        looked.append(arn)
        return inner if arn == CHILD_ARN else None

    found = explain_execution(outer, as_of=at(100), look=look)
    assert found.state is K.WAITING_FOR_INVOKE
    assert found.chained is not None
    assert found.chained.explanation.state is K.WAITING_FOR_CALLBACK
    assert found.until == at(610)
    assert looked == [CHILD_ARN]
    assert "It waits for the callback" in found.text


def test_an_execution_that_invokes_itself_ends() -> None:
    execution = begun().invoke("again", 10, arn=ARN).invoked(0, 11).read()
    found = explain_execution(execution, as_of=at(100), look=lambda _: execution)
    assert found.chained is not None


def test_a_divergence_of_a_replay_comes_first() -> None:
    recorded = Side("STEP", "Step", "charge", position=2, id="1")
    replayed = Side("STEP", "Step", "ship", position=2, call_site=CallSite("orders.py", 8, "flow"))
    root = Divergence(
        kind=DivergenceKind.SKIPPED, severity=Severity.ERROR, handler="orders:flow", path="flow/charge", context_path="flow",
        position=2, recorded=recorded, replayed=replayed, effect="e", fix="make it again", likely="l",
    )  # fmt: skip
    found = explain_execution(begun().wait("pause", 10, 60).invoked(0, 11).read(), as_of=at(20), divergence=root)
    assert found.state is K.DIVERGED
    assert found.place is not None
    assert (found.place.path, found.place.name) == ("flow/charge", "charge")
    assert found.place.call_site == replayed.call_site
    assert found.advice[0].text == "make it again"
    assert found.headline == f"It diverged at call 2: {root.sentence}."
    lines = found.text.splitlines()
    assert [line for line in lines[1:] if "also open" not in line] == [
        "  at         orders.py:8 in flow", "  because    l", "  effect     e", "  do         make it again",
    ]  # fmt: skip


def test_a_divergence_at_run_time_names_the_invocation_and_the_replay() -> None:
    recorded = Side("STEP", "Step", "charge", position=2, id="1")
    root = Divergence(
        kind=DivergenceKind.SKIPPED, severity=Severity.ERROR, handler="orders:flow", path="flow/a/charge", context_path="flow/a",
        position=2, recorded=recorded, replayed=None, effect="e", fix="make it again", likely="l",
    )  # fmt: skip
    read = begun().wait("pause", 10, 60).invoked(0, 11).read()
    found = explain_execution(read, as_of=at(20), divergence=root, invocation=3)
    assert found.headline == 'It diverged in invocation 3 at call 2 of a: your code skips the recorded step "charge".'
    assert "durable-debug replay" in str(found.advice[1].command)


def test_without_a_time_the_end_is_told_as_a_date() -> None:
    found = explain_execution(begun().wait("pause", 10, 60).invoked(0, 11).read(), as_of=None)
    assert at(70).isoformat() in found.headline
    assert isinstance(found.until, datetime)


@pytest.mark.parametrize("details", ["text", {"ExecutionTimeout": 10**12}, {"ExecutionTimeout": float("inf")}], ids=str)
def test_a_time_limit_that_cannot_be_is_no_limit(details: Any) -> None:
    execution = begun().wait("pause", 10, 60).invoked(0, 11).read()
    damaged = replace(
        execution, events=({**execution.events[0], "ExecutionStartedDetails": details}, *execution.events[1:])
    )
    assert explain_execution(damaged, as_of=at(12)).state is explain_execution(execution, as_of=at(12)).state


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (3_600, "1 h"),
        (7_500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
