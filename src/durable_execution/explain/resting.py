"""The rules for an execution that goes on: the call that keeps it, retries, and its time limit."""

from dataclasses import replace
from datetime import datetime, timedelta

from durable_execution.counts import counted
from durable_execution.explain.explanation import Advice, Explanation, OpenCall, Place, StateKind, Warning_
from durable_execution.explain.facts import (
    STORM_ATTEMPTS,
    duration,
    failure_inside,
    heartbeat_of,
    left_behind,
    open_calls,
    place_of,
    retried,
    short_error,
    time_warnings,
)  # fmt: skip
from durable_execution.history.recorded import RecordedExecution

LONGEST_INVOCATION = timedelta(minutes=15)
RAISE_TIMEOUT = Advice("raise the function's timeout, or split the step that runs too long")


def near_time_limit(execution: RecordedExecution, as_of: datetime | None) -> Explanation | None:
    """Explain an execution that is about to time out."""
    warning = next((one for one in time_warnings(execution, as_of) if one.kind == "time_quota"), None)
    if warning is None:
        return None
    advice = Advice("end what it waits for now; an execution's time limit cannot be raised while it runs")
    return Explanation(
        StateKind.QUOTA_NEAR, f"It is close to its time limit: {warning.text}.", place=resting_place(execution),
        advice=(advice,),
    )  # fmt: skip


def at_retries(execution: RecordedExecution, as_of: datetime | None) -> Explanation | None:
    """Explain an execution that waits for the next attempt of a step or of a block."""
    if (storm := _storm(execution)) is not None:
        return storm
    retries = [one for one in open_calls(execution) if one.kind == "retry"]
    conditions = {one.id for one in execution.operations if one.subtype == "WaitForCondition"}
    steps = [one for one in retries if one.place.id not in conditions]
    if not steps:
        return None
    worst = max(steps, key=lambda one: one.attempt or 0)
    after = f" after {worst.error}" if worst.error else ""
    causes = (worst.error,) if worst.error else _failed_inside(execution, worst)
    others = _blocker(execution)
    if others is not None and others.kind != "retry" and others.until is None:
        return None  # what has no end keeps it longer than the retry
    headline = f"It waits for attempt {worst.attempt} of {worst.place.path}{_left(worst.until, as_of)}{after}."
    return Explanation(
        StateKind.RETRY_PENDING, headline, since=worst.since, until=worst.until, place=worst.place, causes=causes,
    )  # fmt: skip


def _failed_inside(execution: RecordedExecution, block: OpenCall) -> tuple[str, ...]:
    """What failed last in a block that is tried again. Whether its error ended the attempt is not recorded."""
    operation = execution.by_id().get(block.place.id or "")
    error = failure_inside(execution, operation) if operation is not None else None
    return (f"the last call in it failed with {short_error(error)}",) if error is not None else ()


def _storm(execution: RecordedExecution) -> Explanation | None:
    """Steps that fail again and again, whether they wait for the next attempt or are being tried."""
    steps = retried(execution)
    operation, count, error = max(steps, key=lambda one: one[1], default=(None, 0, None))
    if operation is None or (len(steps) < STORM_ATTEMPTS and count < STORM_ATTEMPTS):
        return None
    worst = next(one for one in open_calls(execution) if one.place.id == operation.id)
    reason = short_error(error)
    many = (
        f"{counted(len(steps), 'step')} are retried"
        if len(steps) > 1
        else f"{worst.place.path} was tried {counted(count, 'time')}"
    )
    advice = Advice("fix what fails, or limit the attempts in the step's retry strategy; stop it if it cannot succeed",
                    command("stop", execution))  # fmt: skip
    return Explanation(
        StateKind.RETRY_STORM, f"It retries without success: {many}, after {reason}.", since=worst.since,
        until=worst.until, place=worst.place, causes=(reason,) if reason else (), advice=(advice,),
    )  # fmt: skip


def retries_text(execution: RecordedExecution) -> tuple[str, ...]:
    """Return what was being retried when the execution was ended from outside."""
    return tuple(
        f"{one.path} had failed {counted(count, 'time')}, at last with {short_error(error)}"
        for one, count, error in retried(execution)
    )


def _blocker(execution: RecordedExecution) -> OpenCall | None:
    """The open call that keeps the execution longest: one without an end before one with the latest end."""
    waiting = [one for one in open_calls(execution) if one.kind != "step"]
    return max(waiting, key=lambda one: (one.until is None, one.until.timestamp() if one.until else 0.0), default=None)


def at_rest(execution: RecordedExecution, as_of: datetime | None) -> Explanation | None:
    """Explain an execution by the call that keeps it longest."""
    running = [one for one in open_calls(execution) if one.kind == "step"]
    call = _blocker(execution)
    if running and (call is None or (execution.invocations and execution.invocations[-1].ended_at is None)):
        place = running[-1].place
        cut_off = _cut_off(running[-1], execution, as_of)
        if cut_off is not None:
            return cut_off
        return Explanation(StateKind.RUNNING, f"It is running {place.path}.", since=running[-1].since, place=place)
    if call is None:
        return None
    name, left = call.place.path, _left(call.until, as_of)
    match call.kind:
        case "timer":
            headline = f"It waits for the timer {name}{left}."
            return _rests(StateKind.WAITING_FOR_TIMER, headline, call)
        case "callback":
            return _at_callback(execution, call, left, as_of)
        case "invoke":
            looks = f"durable-debug explain {call.arn}" if call.arn else None
            advice = Advice("look at the invoked execution", looks) if looks else None
            headline = f"It waits for the invoked execution of {name}."
            return _rests(StateKind.WAITING_FOR_INVOKE, headline, call, *([advice] if advice else []))
        case _:
            return _rests(StateKind.RETRY_PENDING, f"It waits for the next check of {name}{left}.", call)


def _cut_off(call: OpenCall, execution: RecordedExecution, as_of: datetime | None) -> Explanation | None:
    """A step that has been running for longer than any invocation can: inferred, since the history has no event for it."""
    operation = execution.by_id().get(call.place.id or "")
    tries = operation.attempts if operation is not None else ()
    since = (tries[-1].started_at if tries else None) or call.since
    if as_of is None or since is None or as_of - since <= LONGEST_INVOCATION:
        return None
    took = duration((as_of - since).total_seconds())
    return Explanation(
        StateKind.FUNCTION_TIMEOUT,
        f"It has been in {call.place.path} for {took}, and no invocation runs for more than 15 min: the function has probably "
        "timed out.",
        since=since, place=call.place, advice=(RAISE_TIMEOUT,), is_inferred=True,
    )  # fmt: skip


def _at_callback(execution: RecordedExecution, call: OpenCall, left: str, as_of: datetime | None) -> Explanation:
    beat = heartbeat_of(execution, call)
    limit = left or (f", with a heartbeat every {duration(beat)}" if beat else ", and has no timeout")
    completes = f"durable-debug callback succeed {call.callback_id} --result JSON" if call.callback_id else None
    advice = [Advice("complete the callback, if the external system cannot", completes)]
    if beat and call.callback_id:
        advice.append(Advice("keep it alive", f"durable-debug callback heartbeat {call.callback_id}"))
    elif call.until is None:
        operation = execution.by_id().get(call.place.id or "")
        parent = execution.by_id().get(operation.parent_id or "") if operation is not None else None
        maker = "wait_for_callback" if parent is not None and parent.subtype == "WaitForCallback" else "create_callback"
        advice.append(Advice(f"give {maker} a timeout, so that a lost callback does not block the execution"))
    found = _rests(
        StateKind.WAITING_FOR_CALLBACK, f"It waits for the callback {call.place.path}{limit}.", call, *advice
    )
    if beat and as_of is not None and call.since is not None and (as_of - call.since).total_seconds() > beat:
        text = f"its heartbeat is limited to {duration(beat)}, and it has been open for longer"
        return replace(found, warnings=(Warning_("heartbeat", text),))
    return found


def _rests(state: StateKind, headline: str, call: OpenCall, *advice: Advice) -> Explanation:
    return Explanation(state, headline, since=call.since, until=call.until, place=call.place, advice=advice)


def resting_place(execution: RecordedExecution) -> Place | None:
    """Return the call that keeps the execution longest; the call that was open or ended last, if none is open."""
    call = _blocker(execution)
    return call.place if call is not None else last_place(execution)


def last_place(execution: RecordedExecution) -> Place | None:
    """Return the call that was open or ended last."""
    is_left = left_behind(execution)
    waiting = [one for one in execution.operations if not one.status.is_terminal and one.id not in is_left]
    candidates = waiting or list(execution.operations)
    dated = [one for one in candidates if one.started_at is not None]
    if not dated:
        return None
    return place_of(max(dated, key=lambda one: (one.started_at.timestamp() if one.started_at else 0.0, one.depth)))


def _left(until: datetime | None, as_of: datetime | None) -> str:
    if until is None:
        return ""
    if as_of is None:
        return f" until {until.isoformat()}"
    seconds = (until - as_of).total_seconds()
    return f", due in {duration(seconds)}" if seconds > 0 else f", due {duration(seconds)} ago"


def command(verb: str, execution: RecordedExecution, *arguments: str) -> str:
    """Return a command about the execution."""
    return " ".join(["durable-debug", verb, execution.arn or execution.id or "EXECUTION", *arguments])
