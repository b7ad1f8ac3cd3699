"""States that come several at once, late, or half recorded: the most urgent one is named, and nothing is invented."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from durable_execution.explain import StateKind, explain_execution
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import Wire
from tests.explain.planted import ARN, CHILD_ARN, START, History, at, failure
from tests.explain.test_states import Planted, begun, explained, recognized

K = StateKind
KILLED = "Runtime.ExitError: RequestId: r1 Error: Runtime exited with error: signal: killed"


def limited(seconds: int) -> History:
    return History().event("ExecutionStarted", 0, "execution", Input={"Payload": "{}"}, ExecutionTimeout=seconds)


def answered_while_paused() -> History:
    history = begun().callback("approval", 10).invoked(0, 11).event("ExecutionPaused", 12)
    id_ = history.events[3]["Id"]
    return history.event("CallbackSucceeded", 50, id_, Name="approval", SubType="Callback", Result={"Payload": "1"})


def resumed() -> History:
    return begun().wait("pause", 10, 3600).invoked(0, 11).event("ExecutionPaused", 12).event("ExecutionResumed", 20)


def without(history: History, *event_ids: int) -> History:
    """The history with some events missing, as a cut-off export has it."""
    return History(events=[event for event in history.events if event["EventId"] not in event_ids])


def rapid(history: History, attempts: int) -> History:
    """A step that failed many times, and is being tried again right now."""
    id_, more = history.next_id(), {"Name": "charge", "SubType": "Step"}
    for number in range(1, attempts + 1):
        retry = {"CurrentAttempt": number, "NextAttemptDelaySeconds": 1}
        history.event("StepStarted", 2 * number, id_, **more)
        history.event(
            "StepFailed", 2 * number + 0.5, id_, RetryDetails=retry, Error=failure("GatewayDownError: 503"), **more
        )
    return history.event("StepStarted", 2 * attempts + 2, id_, **more)


def gap_in_an_invocation() -> History:
    history = begun()
    return history.step("ship", 400).invoked(0, 401).ended("Succeeded", 401)


MIXTURES = {
    "answered while paused": Planted(answered_while_paused, K.PAUSED, "orders/approval", ("durable-debug resume", "orders/approval ended while it was paused")),
    "paused by its status only": Planted(lambda: begun().wait("pause", 10, 3600).invoked(0, 11), K.PAUSED, "orders/pause", status="PAUSED"),
    "paused while its invocations failed": Planted(lambda: begun().invoked(0, 2, error="InvocationError: x").event("ExecutionPaused", 12), K.PAUSED, "orders/reserve"),
    "paused during a retry storm": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", attempts=14, delay=300).invoked(0, 30).event("ExecutionPaused", 31), K.PAUSED, "orders/charge"),
    "resumed": Planted(resumed, K.WAITING_FOR_TIMER, "orders/pause", until=3610),
    "heartbeat without a timeout": Planted(lambda: begun().callback("approval", 10, HeartbeatTimeout=3600).invoked(0, 11), K.WAITING_FOR_CALLBACK, "orders/approval", ("heartbeat every 1 h", "callback heartbeat callback-1")),
    "late heartbeat without a timeout": Planted(lambda: begun().callback("approval", 10, HeartbeatTimeout=30).invoked(0, 11), K.WAITING_FOR_CALLBACK, "orders/approval", warns=("heartbeat",)),
    "storm that is being tried": Planted(lambda: rapid(begun(), 13), K.RETRY_STORM, "orders/charge", ("13 times", "GatewayDownError: 503")),
    "storm beside a callback": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", attempts=14, delay=300).callback("approval", 20).invoked(0, 30), K.RETRY_STORM, "orders/charge", until=315.5),
    "throttled after failures": Planted(lambda: begun().invoked(0, 2, error="InvocationError: database is down").invoked(3, 3, error="TooManyRequestsException: Rate Exceeded"), K.THROTTLED, None, ("its last invocation", "concurrency")),
    "throttled by its reserved concurrency": Planted(lambda: begun().invoked(3, 3, error="ReservedFunctionConcurrentInvocationLimitExceeded: Rate Exceeded"), K.THROTTLED, None, ("concurrency",)),
    "timed out twice": Planted(lambda: begun().step("charge", 2, ends=False).invoked(0, 900, error="Sandbox.Timedout: Task timed out after 900.00 seconds").invoked(901, 1801, error="Sandbox.Timedout: Task timed out after 900.00 seconds"), K.FUNCTION_TIMEOUT, "orders/charge", ("last 2 invocations",), now=1_810),
    "running longer than an invocation can": Planted(lambda: begun().step("charge", 2, ends=False), K.FUNCTION_TIMEOUT, "orders/charge", ("15 min",), now=1_000),
    "out of memory in a step": Planted(lambda: begun().step("render", 2, ends=False).invoked(0, 30, error=KILLED), K.INVOCATIONS_FAILING, "orders/render", ("memory",)),
    "exit at import": Planted(lambda: History().started().invoked(0, 1, error="Runtime.ExitError: RequestId: r1 Error: Runtime exited with error: exit status 1"), K.FAILING_BEFORE_HANDLER, "handler"),
    "key of the environment disabled": Planted(lambda: begun().wait("pause", 10, 30, ends=True).invoked(0, 11).invoked(40, 40, error="KMSDisabledException: the key is disabled"), K.FAILING_BEFORE_HANDLER, "handler", ("KMSDisabledException",)),
    "divergence that is retried": Planted(lambda: begun().wait("pause", 10, 30, ends=True).invoked(0, 11).invoked(40, 41, error="InvocationError: Nondeterminism in orders at call 2: skipped"), K.DIVERGED, "handler", ("durable-debug replay",)),
    "divergence in AWS's words": Planted(lambda: begun().ended("Failed", 4, error="NonDeterministicExecutionError: step charge was a wait"), K.DIVERGED, "handler", ("step charge was a wait",)),
    "failure after a recovered divergence": Planted(lambda: begun().invoked(0, 2, error="InvocationError: Nondeterminism in orders at call 2: skipped").wait("pause", 10, 3600).invoked(3, 11), K.WAITING_FOR_TIMER, "orders/pause", until=3610),
    "gap in the history": Planted(lambda: without(begun().step("charge", 4).wait("pause", 10, 3600).invoked(0, 11), 4), K.HISTORY_INCOMPLETE, None, ("event 4",)),
    "failed with a gap": Planted(lambda: without(begun().step("pack", 3).step("charge", 4, error="CardDeclinedError: no").ended("Failed", 6, error="CardDeclinedError: no"), 4), K.FAILED, "orders/charge", warns=("history_incomplete",)),
    "ended and expired": Planted(History, K.HISTORY_UNAVAILABLE, None, ("It succeeded",), status="SUCCEEDED"),
    "near its time limit": Planted(lambda: limited(1_000).callback("approval", 10).invoked(0, 11), K.QUOTA_NEAR, "orders/approval", ("times out in 50 s",), now=950, warns=("time_quota",)),
    "far from its time limit": Planted(lambda: limited(1_000).callback("approval", 10).invoked(0, 11), K.WAITING_FOR_CALLBACK, "orders/approval"),
    "timer beyond its time limit": Planted(lambda: limited(1_000).wait("pause", 10, 3_600).invoked(0, 11), K.WAITING_FOR_TIMER, "orders/pause", ("times out before",), until=3_610, warns=("times_out_first",)),
    "timed out in a race": Planted(lambda: begun().callback("approval", 10).wait("limit", 11, 864_000).invoked(0, 12).ended("TimedOut", 86_410), K.TIMED_OUT, "orders/approval"),
    "timed out while it retried": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", attempts=3, delay=90_000).invoked(0, 11).ended("TimedOut", 86_410), K.TIMED_OUT, "orders/charge", ("GatewayDownError: 503",)),
    "stopped while it retried": Planted(lambda: begun().step("charge", 2, error="GatewayDownError: 503", attempts=3, delay=90).invoked(0, 11).ended("Stopped", 20, error="Operator: enough"), K.STOPPED, "orders/charge", ("Operator: enough", "GatewayDownError: 503")),
    "failed by a function timeout": Planted(lambda: begun().step("charge", 2, ends=False).invoked(0, 900, error="Sandbox.Timedout: Task timed out").ended("Failed", 901, error="Sandbox.Timedout: Task timed out"), K.FAILED, "orders/charge", ("raise the function's timeout",)),
    "result refused by the service": Planted(lambda: begun().ended("Failed", 5, error="CheckpointRejectedError: the handler's result takes 7,000,000 bytes in the response, more than the 6,291,556 that Lambda returns"), K.RESULT_TOO_LARGE, "handler"),
    "slow code between calls": Planted(gap_in_an_invocation, K.SUCCEEDED_WITH_ODDITIES, None, ("6 min",), warns=("slow_gap",), now=500),
    "quota near beside a retry": Planted(lambda: many_steps(2_900).step("charge", 20, error="GatewayDownError: 503", delay=60).invoked(0, 30), K.QUOTA_NEAR, "orders/charge", warns=("operations_quota",)),
    "succeeded close to the quota": Planted(lambda: many_steps(2_900).invoked(0, 30).ended("Succeeded", 30), K.SUCCEEDED, None, ("2,900 of 3,000",), warns=("operations_quota",)),
    "succeeded after several things": Planted(lambda: begun().invoked(0, 2, error="InvocationError: x").retried("charge", 3, error="GatewayDownError: 503", attempts=2).invoked(3, 8).ended("Succeeded", 8), K.SUCCEEDED_WITH_ODDITIES, warns=("retries", "failed_invocation")),
}  # fmt: skip


def many_steps(count: int) -> History:
    history = History().started()
    for number in range(count):
        history.step(f"s{number}", 1)
    return history


@pytest.mark.parametrize("title", MIXTURES)
def test_a_mixture_is_recognized(title: str) -> None:
    found = recognized(MIXTURES[title])
    assert found.is_inferred == (title == "running longer than an invocation can")


def test_a_callback_with_a_heartbeat_is_not_told_to_lack_a_limit() -> None:
    assert "timeout, so that" not in explained(MIXTURES["heartbeat without a timeout"]).text


def test_only_invocations_that_failed_alike_are_counted() -> None:
    assert "2 invocations" not in explained(MIXTURES["throttled after failures"]).headline


def chain(*histories: Callable[[str, str], History]) -> dict[str, RecordedExecution]:
    """Executions that invoke each other, by ARN; the last one waits for something else."""
    arns = [ARN.replace("order-1", f"order-{number}") for number in range(len(histories) + 1)]
    made = [make(arns[number], arns[number + 1]) for number, make in enumerate(histories)]
    return {arns[number]: history.read() for number, history in enumerate(made)}


def invokes(arn: str, following: str) -> History:
    return History(arn).started().invoke("next", 5, arn=following).invoked(0, 6)


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (lambda arn, _: History(arn).started().callback("approval", 10).invoked(0, 11), K.WAITING_FOR_CALLBACK),
        (lambda arn, _: History(arn).started().event("ExecutionPaused", 12), K.PAUSED),
        (lambda arn, _: History(arn).started().step("pay", 2, error="E: no", attempts=14, delay=9), K.RETRY_STORM),
        (lambda arn, _: History(arn).started().invoked(0, 1, error="Runtime.HandlerNotFound: no"), K.FAILING_BEFORE_HANDLER),
        (lambda arn, _: History(arn).started().ended("Succeeded", 9), K.SUCCEEDED),
    ],
)  # fmt: skip
def test_a_long_chain_is_followed_to_its_end(last: Callable[[str, str], History], state: StateKind) -> None:
    known = chain(invokes, invokes, invokes, last)
    first = next(iter(known.values()))
    found = explain_execution(first, as_of=START + timedelta(seconds=100), look=known.get)
    depth = 0
    while found.chained is not None:
        found, depth = found.chained.explanation, depth + 1
    assert (depth, found.state) == (3, state)


def test_a_chain_to_an_execution_that_cannot_be_read_stops_there() -> None:
    found = explain_execution(begun().invoke("bill", 5).invoked(0, 6).read(), as_of=at(100), look=lambda _: None)
    assert found.state is K.WAITING_FOR_INVOKE
    assert found.chained is None
    assert CHILD_ARN in found.text


def test_events_without_numbers_are_no_gap() -> None:
    history = begun().wait("pause", 10, 3600).invoked(0, 11)
    events: list[Wire] = [{key: value for key, value in one.items() if key != "EventId"} for one in history.events]
    assert explain_execution(History(events=events).read(), as_of=at(100)).state is K.WAITING_FOR_TIMER
