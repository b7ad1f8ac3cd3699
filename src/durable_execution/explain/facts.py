"""Facts of a recorded execution that the rules of an explanation read: open calls, failures, quotas, gaps."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from durable_execution.counts import counted
from durable_execution.explain.explanation import OpenCall, Place, Warning_
from durable_execution.explain.user_code import site_of_error
from durable_execution.history.recorded import RecordedExecution, RecordedInvocation, RecordedOperation
from durable_execution.protocol import ErrorObject, OperationStatus, OperationType
from durable_execution.protocol.enums import MAX_EXECUTION_BYTES, MAX_OPERATIONS

NEAR_QUOTA = 0.9
STORM_ATTEMPTS = 10
"""Attempts of one step, or steps retried at once, from which retries are called a storm."""

SLOW_RESUME = timedelta(seconds=60)
IDLE = timedelta(seconds=1)
BACKOFF = re.compile(r"-backoff-(\d+)$")
"""What `ctx.with_retry` adds to its name for the wait after a failed attempt."""

KINDS = {
    OperationType.WAIT: "timer",
    OperationType.CALLBACK: "callback",
    OperationType.CHAINED_INVOKE: "invoke",
    OperationType.STEP: "step",
}


def open_calls(execution: RecordedExecution) -> list[OpenCall]:
    """Return every call that has not ended, without the contexts around them; the one that ends last comes last.

    Calls that no code waits for any more, such as the loser of a race, are left out.
    """
    known, is_left = execution.by_id(), left_behind(execution)
    found = [
        _open_call(one, known.get(one.parent_id or ""))
        for one in execution.operations
        if one.type in KINDS and not one.status.is_terminal and one.id not in is_left
    ]
    return sorted(found, key=lambda one: (one.until is None, one.until.timestamp() if one.until else 0.0))


def left_behind(execution: RecordedExecution) -> set[str]:
    """Return the ids of open calls inside a context, map, parallel or combinator that has ended: its code goes on without them."""
    known = execution.by_id()
    return {
        one.id
        for one in execution.operations
        if not one.status.is_terminal
        and any(id_ in known and known[id_].status.is_terminal for id_ in around(one, known))
    }


def around(operation: RecordedOperation, known: Mapping[str, RecordedOperation]) -> tuple[str, ...]:
    """Return the ids of the contexts and combinators around a call."""
    found: list[str] = []
    here: RecordedOperation | None = operation
    while here is not None and len(found) <= len(known):
        found += [step.of for step in here.details.get("task_scope", ()) if step.of is not None]
        here = known.get(here.parent_id or "")
        if here is not None:
            found.append(here.id)
    return tuple(found)


def backoff_of(name: str | None, context: str | None) -> int | None:
    """Return the number of the attempt that failed before a wait of `ctx.with_retry`; None if the wait is a different one."""
    match = BACKOFF.search(name or "")
    return int(match[1]) if match is not None and context is not None and name == f"{context}{match[0]}" else None


def _open_call(operation: RecordedOperation, parent: RecordedOperation | None) -> OpenCall:
    details, place = operation.details, place_of(operation)
    kind, until, error, attempt = KINDS[operation.type], None, None, None
    match operation.type:
        case OperationType.WAIT:
            until = details.get("scheduled_end_at")
            if parent is not None and (failed := backoff_of(operation.name, parent.name)) is not None:
                kind, attempt, place = "retry", failed + 1, place_of(parent)
        case OperationType.CALLBACK:
            until = _after(operation.started_at, details.get("timeout_seconds"))
        case OperationType.STEP if operation.status in (OperationStatus.PENDING, OperationStatus.READY):
            kind, last = "retry", operation.attempts[-1] if operation.attempts else None
            until = _after(last.ended_at, last.next_attempt_delay_seconds) if last else None
            attempt = (last.number if last else 0) + 1
            error = short_error(last.error) if last else None
        case _:
            pass
    arn = details.get("child_execution_arn")
    return OpenCall(
        place,
        kind,
        since=operation.started_at,
        until=until if isinstance(until, datetime) else None,
        callback_id=details.get("callback_id"),
        arn=str(arn) if arn else None,
        attempt=attempt,
        error=error,
    )


def heartbeat_of(execution: RecordedExecution, call: OpenCall) -> float | None:
    """Return the seconds within which a callback must be given a heartbeat; None when it needs none."""
    operation = execution.by_id().get(call.place.id or "") if call.kind == "callback" else None
    seconds = operation.details.get("heartbeat_timeout_seconds") if operation is not None else None
    return float(seconds) if isinstance(seconds, (int, float)) and seconds else None


def ends_at(execution: RecordedExecution) -> datetime | None:
    """Return when the execution times out; None when that is not recorded."""
    first = execution.events[0] if execution.events else {}
    details = first.get("ExecutionStartedDetails")
    return _after(execution.started_at, details.get("ExecutionTimeout")) if isinstance(details, Mapping) else None


def missing_events(execution: RecordedExecution) -> tuple[int, int] | None:
    """Return the first and last number of the first events that are missing; None without a gap."""
    expected = 1
    for event in execution.events:
        number = event.get("EventId")
        if not isinstance(number, int):
            return None
        if number > expected:
            return expected, number - 1
        expected = number + 1
    return None


def retried(execution: RecordedExecution) -> list[tuple[RecordedOperation, int, ErrorObject | None]]:
    """Return the open steps and blocks that failed before, with the number of failed attempts and the last error."""
    found: list[tuple[RecordedOperation, int, ErrorObject | None]] = []
    known, is_left = execution.by_id(), left_behind(execution)
    for one in execution.operations:
        if one.status.is_terminal or one.id in is_left:
            continue
        parent = known.get(one.parent_id or "")
        if parent is not None and (failures := backoff_of(one.name, parent.name)) is not None:
            found.append((parent, failures, failure_inside(execution, parent)))
        if one.type is not OperationType.STEP or one.subtype == "WaitForCondition":
            continue
        errors = [attempt.error for attempt in one.attempts if attempt.error is not None]
        if errors:
            found.append((one, len(errors), errors[-1]))
    return found


def failure_inside(execution: RecordedExecution, context: RecordedOperation) -> ErrorObject | None:
    """Return the error of the last call that ended in a context, if that call failed."""
    inside = [one for one in execution.operations if one.parent_id == context.id and one.ended_at is not None]
    inside = [one for one in inside if backoff_of(one.name, context.name) is None]
    return max(inside, key=lambda one: one.events[-1] if one.events else 0).error if inside else None


def _after(start: datetime | None, seconds: object) -> datetime | None:
    if start is None or not isinstance(seconds, (int, float)) or not seconds:
        return None
    try:
        return start + timedelta(seconds=seconds)
    except (OverflowError, ValueError):  # a damaged history: there is no such time
        return None


def place_of(operation: RecordedOperation) -> Place:
    """Return the place of an operation: its call site, or the line of its recorded error."""
    return Place(operation.path, operation.name, operation.id, operation.call_site or site_of_error(operation.error))


def failure_chain(execution: RecordedExecution) -> list[RecordedOperation]:
    """Return the operations through which the error of the execution passed, outermost first."""
    error = execution.error
    if error is None:
        return []
    failed = [one for one in execution.operations if one.error is not None and one.status.is_terminal]
    same = [one for one in failed if _is_same(one.error, error)]
    if not same:
        return []
    innermost = max(reversed(same), key=lambda one: one.depth)
    by_id = execution.by_id()
    while (inner := _passed_on(innermost, failed, by_id)) is not None:
        innermost = inner
    chain = [innermost]
    while (parent := by_id.get(chain[0].parent_id or "")) is not None:
        if parent.error is None or not parent.status.is_terminal:
            break
        chain.insert(0, parent)
    return chain


WRAPPERS = frozenset(
    {
        "StepError",
        "ChildContextError",
        "CallbackError",
        "InvokeError",
        "BatchError",
        "WaitForConditionError",
        "CallableRuntimeError",
    }
)
"""Types in which SDKs raise the error of an operation again, with its message."""


def _passed_on(
    outer: RecordedOperation, failed: list[RecordedOperation], by_id: Mapping[str, RecordedOperation]
) -> RecordedOperation | None:
    """The failed call inside a context whose message the context's own error repeats, as a submitter's or a branch's."""
    message = (outer.error.message if outer.error else None) or ""
    inside = (one for one in failed if one.error is not None and one.error.message and _is_inside(one, outer, by_id))
    repeated = [one for one in inside if one.error is not None and (one.error.message or "") in message]
    return max(repeated, key=lambda one: one.depth, default=None)


def _is_inside(one: RecordedOperation, outer: RecordedOperation, by_id: Mapping[str, RecordedOperation]) -> bool:
    here = by_id.get(one.parent_id or "")
    while here is not None and here.depth > outer.depth:
        here = by_id.get(here.parent_id or "")
    return here is not None and here.id == outer.id


def _is_same(one: ErrorObject | None, other: ErrorObject) -> bool:
    """Whether an operation's error is the one that ended the execution, by itself or wrapped."""
    if one is None or (one.message or "") != (other.message or ""):
        return False
    return (one.type or "") == (other.type or "") or (other.type or "").rpartition(".")[2] in WRAPPERS


def failing_invocations(execution: RecordedExecution) -> list[RecordedInvocation]:
    """Return the invocations at the end of the recording that failed one after another with the same type of error."""
    found: list[RecordedInvocation] = []
    for invocation in reversed(execution.invocations):
        if invocation.error is None or (found and _type(invocation) != _type(found[0])):
            break
        found.insert(0, invocation)
    return found


def _type(invocation: RecordedInvocation) -> str | None:
    return invocation.error.type if invocation.error is not None else None


def short_error(error: ErrorObject | None) -> str | None:
    """Return type and message of an error in one line."""
    if error is None:
        return None
    kind = (error.type or "error").rpartition(".")[2]
    return f"{kind}: {error.message}" if error.message else kind


def data_size(execution: RecordedExecution) -> int:
    """Return the size of the recorded payloads, in characters: a lower bound of what counts towards the quota."""
    texts = [execution.input, execution.result]
    for operation in execution.operations:
        texts += [operation.input, operation.result]
        texts += [attempt.result for attempt in operation.attempts[:-1]]
    return sum(len(text) for text in texts if text)


def history_warnings(execution: RecordedExecution) -> Iterator[Warning_]:
    """Yield what is missing in the history of an execution that ended."""
    missing = missing_events(execution)
    if missing is not None:
        yield Warning_("history_incomplete", f"{events_text(*missing)}, so this may not be the whole story")


def events_text(first: int, last: int) -> str:
    """Return which events are missing, as a clause."""
    return f"event {first} is missing" if first == last else f"events {first} to {last} are missing"


def time_warnings(execution: RecordedExecution, as_of: datetime | None) -> Iterator[Warning_]:
    """Yield how close an open execution is to its time limit, and what ends only after it."""
    limit, start = ends_at(execution), execution.started_at
    if limit is None or start is None:
        return
    if as_of is not None and (as_of - start) >= NEAR_QUOTA * (limit - start):
        left = (limit - as_of).total_seconds()
        yield Warning_("time_quota", f"it times out in {duration(left)}" if left > 0 else "its time limit has passed")
        return
    late = next((one for one in open_calls(execution) if one.until is not None and one.until > limit), None)
    if late is not None:
        yield Warning_("times_out_first", f"it times out before {late.place.path} is due, at {limit.isoformat()}")


def quota_warnings(execution: RecordedExecution) -> Iterator[Warning_]:
    """Yield what is near a quota of one execution."""
    operations, size = len(execution.operations), data_size(execution)
    if operations >= MAX_OPERATIONS * NEAR_QUOTA:
        yield Warning_("operations_quota", f"it has {operations:,} of {counted(MAX_OPERATIONS, 'operation')}")
    if size >= MAX_EXECUTION_BYTES * NEAR_QUOTA:
        yield Warning_("data_quota", f"it stores {size / 2**20:.0f} of {MAX_EXECUTION_BYTES / 2**20:.0f} MiB")


def oddities(execution: RecordedExecution) -> Iterator[Warning_]:
    """Yield what was unusual about an execution that ended."""
    retried = [one for one in execution.operations if len(one.attempts) > 1 and one.type is OperationType.STEP]
    retried = [one for one in retried if one.subtype != "WaitForCondition"]
    for operation in retried:
        errors = [attempt.error for attempt in operation.attempts if attempt.error is not None]
        reason = f", after {short_error(errors[-1])}" if errors else ""
        yield Warning_("retries", f"{operation.path} took {counted(len(operation.attempts), 'attempt')}{reason}")
    for operation in execution.operations:
        if any(attempt.outcome == "INCOMPLETE" for attempt in operation.attempts):
            yield Warning_("interrupted", f"{operation.path} was interrupted and ran again")
    for invocation in execution.invocations:
        if invocation.error is not None:
            yield Warning_(
                "failed_invocation", f"invocation {invocation.number} failed with {short_error(invocation.error)}"
            )
    yield from _slow_resumes(execution)
    yield from _slow_gaps(execution)


def _slow_gaps(execution: RecordedExecution) -> Iterator[Warning_]:
    """The time an invocation spent outside all calls."""
    spans = sorted(
        (one.started_at, one.ended_at or execution.ended_at or one.started_at)
        for one in execution.operations
        if one.started_at is not None and one.type in KINDS
    )
    for invocation in execution.invocations:
        here, end = invocation.started_at, invocation.ended_at
        if here is None or end is None or end - here < SLOW_RESUME:
            continue
        for start, stop in (*spans, (end, end)):
            if here < start <= end and start - here >= SLOW_RESUME:
                seconds = (start - here).total_seconds()
                yield Warning_(
                    "slow_gap", f"invocation {invocation.number} spent {duration(seconds)} between two calls"
                )
            here = max(here, min(stop, end))


def _slow_resumes(execution: RecordedExecution) -> Iterator[Warning_]:
    """The time from the end of what an execution waited for to its next invocation."""
    outside = KINDS.keys() - {OperationType.STEP}  # a step ends within an invocation
    ends = sorted(one.ended_at for one in execution.operations if one.ended_at is not None and one.type in outside)
    for before, after in zip(execution.invocations, execution.invocations[1:], strict=False):
        if before.ended_at is None or after.started_at is None:
            continue
        first = bisect_left(ends, before.ended_at)
        if first < len(ends) and after.started_at - ends[first] >= SLOW_RESUME:
            seconds = (after.started_at - ends[first]).total_seconds()
            yield Warning_("slow_resume", f"invocation {after.number} started {duration(seconds)} after it could")


def duration(seconds: float) -> str:
    """Return a duration with its two largest units: `45 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(abs(seconds))
    if not whole:
        return "0 s"
    units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)]
    parts: list[str] = []
    for index, (unit, size) in enumerate(units):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {unit}")
        if len(parts) == 2 or (parts and index and not count):
            break
    return " ".join(parts)
