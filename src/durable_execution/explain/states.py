"""The rules: from the facts of an execution to its state, its place, its causes and what you can do, most urgent first."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from durable_execution.counts import counted
from durable_execution.divergence import NONDETERMINISM, Divergence, Severity
from durable_execution.explain.explanation import (
    EFFECT,
    Advice,
    Chained,
    Explanation,
    OpenCall,
    Place,
    StateKind,
    Warning_,
)
from durable_execution.explain.facts import (
    duration,
    events_text,
    failing_invocations,
    failure_chain,
    history_warnings,
    missing_events,
    oddities,
    open_calls,
    place_of,
    quota_warnings,
    short_error,
    time_warnings,
)
from durable_execution.explain.resting import (
    RAISE_TIMEOUT,
    at_rest,
    at_retries,
    command,
    last_place,
    near_time_limit,
    resting_place,
    retries_text,
)
from durable_execution.explain.user_code import own_files, site_of_error
from durable_execution.history.recorded import RecordedExecution, RecordedInvocation
from durable_execution.protocol import ErrorObject, OperationType

ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED")
DIVERGED = (NONDETERMINISM, "NonDeterministicExecutionError", "NonDeterministicError")
"""Types in which SDKs end an execution whose code left the recorded path."""

NONDETERMINISTIC = "Nondeterminism in "
"""How our SDK begins the message of an invocation that is retried for that reason."""

TOO_LARGE = ("ResponseSizeTooLarge", "Function.ResponseSizeTooLarge", "RequestEntityTooLargeException")
TIMED_OUT = ("Sandbox.Timedout", "Function.TimedOut")
RESPONSE_REFUSED = "the handler's result takes"
"""How our SDK begins the message when the service refuses a result."""

THROTTLED = (
    "TooManyRequestsException", "ThrottlingException", "Throttling", "ThrottledException", "EC2ThrottledException",
    "ConcurrentInvocationLimitExceeded", "FunctionInvocationRateLimitExceeded", "CallerRateLimitExceeded",
    "ReservedFunctionConcurrentInvocationLimitExceeded", "ReservedFunctionInvocationRateLimitExceeded",
)  # fmt: skip
BEFORE_HANDLER = (
    "Runtime.ImportModuleError", "Runtime.HandlerNotFound", "Runtime.UserCodeSyntaxError", "Runtime.MalformedHandlerName",
    "Runtime.ExitError", "Runtime.InvalidEntrypoint", "InvalidEntrypoint", "Sandbox.InitError", "Function.InitError",
    "AccessDeniedException", "KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException",
    "KMSNotFoundException", "ImageAccessDenied", "EC2AccessDeniedException", "EC2UnexpectedException",
    "ENILimitReachedException", "SubnetIPAddressLimitReachedException", "InvalidSecurityGroupIDException",
    "InvalidSubnetIDException", "InvalidRuntimeException", "InvalidZipFileException", "EFSIOException",
    "EFSMountConnectivityException", "EFSMountFailureException", "EFSMountTimeoutException", "ResourceNotReadyException",
    "SnapStartException", "SnapStartNotReadyException", "SnapStartTimeoutException",
)  # fmt: skip
"""Error types with which Lambda says that the handler never started."""

KILLED = ("signal: killed", "Runtime.OutOfMemory")
"""How Lambda says that it ended the process, which nearly always ran out of memory."""

FIX_DEPLOYMENT = Advice("fix the deployment: the package, the handler's name, or the function's permissions")
STUCK = frozenset(
    {
        StateKind.FUNCTION_TIMEOUT, StateKind.THROTTLED, StateKind.FAILING_BEFORE_HANDLER, StateKind.INVOCATIONS_FAILING,
        StateKind.RETRY_STORM, StateKind.QUOTA_NEAR, StateKind.HISTORY_INCOMPLETE, StateKind.PAUSED, StateKind.PAUSING,
    }
)  # fmt: skip
"""States in which an open execution does not continue as its code says."""

ENDINGS = {
    "SUCCEEDED": "It succeeded", "FAILED": "It failed", "TIMED_OUT": "It timed out", "STOPPED": "It was stopped",
}  # fmt: skip

Look = Callable[[str], RecordedExecution | None]
"""Reads an invoked execution by its ARN; None when it cannot be read."""

SERVICE_ENDS = (OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE)
MAX_CHAIN = 8


def explain_execution(
    execution: RecordedExecution,
    *,
    as_of: datetime | None,
    divergence: Divergence | None = None,
    invocation: int | None = None,
    look: Look | None = None,
) -> Explanation:
    """Explain an execution: what it does, why it does not continue, why it failed, and what you can do.

    Args:
        execution: The recorded execution.
        as_of: The time up to which it is known; None if the recording does not say.
        divergence: The root difference, of a replay against today's code or of one of its own invocations.
        invocation: The invocation that met it; None for a replay.
        look: Reads invoked executions, to follow what this one waits for.
    """
    return _explain(execution, as_of, divergence, look, invocation=invocation, depth=0)


def _explain(
    execution: RecordedExecution,
    as_of: datetime | None,
    divergence: Divergence | None,
    look: Look | None,
    *,
    invocation: int | None = None,
    depth: int,
) -> Explanation:
    root, number = (divergence, invocation) if divergence is not None else _recorded_divergence(execution)
    failing = failing_invocations(execution) if execution.status == "RUNNING" else []
    error = failing[-1].error if failing else execution.error
    if root is not None or _is_nondeterminism(error):
        found = _diverged(execution, root, number, error)
    elif execution.status in ENDED:
        found = _ended(execution)
    else:
        found = _open(execution, as_of)
    more = history_warnings(execution) if execution.status in ENDED else time_warnings(execution, as_of)
    is_known = found.state not in (StateKind.HISTORY_INCOMPLETE, StateKind.HISTORY_UNAVAILABLE)
    warnings = (*found.warnings, *quota_warnings(execution), *(more if is_known else ()))
    found = replace(found, arn=execution.arn, warnings=warnings, waiting=tuple(_waiting(execution)))
    return _followed(found, as_of, look, depth)


def _waiting(execution: RecordedExecution) -> list[OpenCall]:
    return open_calls(execution) if execution.status not in ENDED else []


def _recorded_divergence(execution: RecordedExecution) -> tuple[Divergence | None, int | None]:
    """The difference that the latest invocation recorded in its replay trace, and that invocation's number."""
    last = execution.traces[-1] if execution.traces else None
    found = getattr(last, "divergences", ())
    root = next((one for one in found if one.is_root and one.severity is Severity.ERROR), None)
    return root, last.invocation if last is not None else None


def _is_nondeterminism(error: ErrorObject | None) -> bool:
    if error is None:
        return False
    kind, message = (error.type or "").rpartition(".")[2], error.message or ""
    return kind in DIVERGED or (kind == "InvocationError" and message.startswith(NONDETERMINISTIC))


def _diverged(
    execution: RecordedExecution, root: Divergence | None, invocation: int | None, error: ErrorObject | None
) -> Explanation:
    replay = Advice("replay it against the code to see both sides", command("replay", execution, "MODULE:HANDLER"))
    if root is None:
        message = (error.message if error else None) or "the code left the recorded path"
        place = Place(execution.handler or "handler", call_site=site_of_error(error, own_files(execution)))
        headline = message.splitlines()[0].strip()
        return Explanation(
            StateKind.DIVERGED, headline, place=place, causes=tuple(_lines(message)[1:]), advice=(replay,)
        )
    side = root.recorded or root.replayed
    site = root.replayed.call_site if root.replayed and root.replayed.call_site else None
    site = site or (root.recorded.call_site if root.recorded else None)
    place = Place(root.path, side.name if side else None, root.recorded.id if root.recorded else None, site)
    within = f" in invocation {invocation}" if invocation is not None else ""
    since = execution.ended_at if invocation is not None else None
    headline = f"It diverged{within}{root.where}: {root.sentence}."
    return Explanation(
        StateKind.DIVERGED, headline, since=since, place=place, causes=(root.likely,) if root.likely else (),
        advice=(Advice(root.fix), *([replay] if invocation is not None else [])),
        warnings=(Warning_(EFFECT, root.effect),) if root.effect else (),
    )  # fmt: skip


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _ended(execution: RecordedExecution) -> Explanation:
    at, took = execution.ended_at, _took(execution)
    if _is_empty(execution) and execution.error is None:
        return _unavailable(f"{ENDINGS[execution.status]}, but its history")
    match execution.status:
        case "SUCCEEDED":
            odd = tuple(oddities(execution))
            state = StateKind.SUCCEEDED_WITH_ODDITIES if odd else StateKind.SUCCEEDED
            return Explanation(state, f"It succeeded{took}.", since=at, warnings=odd)
        case "STOPPED":
            reason = short_error(execution.error)
            return Explanation(
                StateKind.STOPPED,
                f"It was stopped{took}{f': {reason}' if reason else ''}.",
                since=at,
                place=resting_place(execution),
                causes=retries_text(execution),
            )
        case "TIMED_OUT":
            place = resting_place(execution)
            where = f" while it waited at {place.path}" if place is not None else ""
            advice = Advice(
                "raise ExecutionTimeout in the function's DurableConfig, or limit what the execution waits for"
            )
            return Explanation(
                StateKind.TIMED_OUT, f"It timed out{took}{where}.", since=at, place=place, causes=retries_text(execution),
                advice=(advice,),
            )  # fmt: skip
        case _:
            return _failed(execution)


def _failed(execution: RecordedExecution) -> Explanation:
    error, chain = execution.error, failure_chain(execution)
    if error is not None and (_is_one_of(error, TOO_LARGE) or (error.message or "").startswith(RESPONSE_REFUSED)):
        advice = Advice("return a reference, for example an S3 key, in place of the value")
        return Explanation(
            StateKind.RESULT_TOO_LARGE, f"It failed: its result is too large ({short_error(error)}).",
            since=execution.ended_at, advice=(advice,), place=Place(execution.handler or "handler"),
        )  # fmt: skip
    place = (
        place_of(chain[-1])
        if chain
        else Place(execution.handler or "handler", call_site=site_of_error(error, own_files(execution)))
    )
    where = f" at {place.path}" if chain else ""
    advice = Advice("replay it against the corrected code", command("replay", execution, "MODULE:HANDLER"))
    if error is not None and not chain and _is_one_of(error, TIMED_OUT):
        place, advice = last_place(execution) or place, RAISE_TIMEOUT
        where = f" at {place.path}"
    elif error is not None and not chain and _is_one_of(error, BEFORE_HANDLER):
        advice = FIX_DEPLOYMENT
    attempts = len(chain[-1].attempts) if chain else 0
    tried = f" after {counted(attempts, 'attempt')}" if attempts > 1 else ""
    causes = tuple(f"{one.path} failed with {short_error(one.error)}" for one in chain[1:])
    headline = f"It failed{where}{tried}: {short_error(error) or 'the error is not recorded'}."
    return Explanation(
        StateKind.FAILED, headline, since=execution.ended_at, place=place, causes=causes,
        advice=(advice,),
    )  # fmt: skip


def _open(execution: RecordedExecution, as_of: datetime | None) -> Explanation:
    found = _unreadable(execution) or _paused(execution) or _failing(execution) or _near_quota(execution, as_of)
    found = found or at_retries(execution, as_of) or at_rest(execution, as_of)
    if found is not None:
        return found
    place = last_place(execution)
    where = f", last at {place.path}" if place is not None else ""
    since = execution.invocations[-1].started_at if execution.invocations else execution.started_at
    return Explanation(StateKind.RUNNING, f"It is running{where}.", since=since, place=place)


def _is_empty(execution: RecordedExecution) -> bool:
    return not execution.events and not execution.operations and not execution.traces


def _unavailable(what: str) -> Explanation:
    advice = Advice("grant lambda:GetDurableExecutionHistory, or read it within the retention period")
    headline = f"{what} is not available: it has expired, or you may not read it."
    return Explanation(StateKind.HISTORY_UNAVAILABLE, headline, advice=(advice,))


def _unreadable(execution: RecordedExecution) -> Explanation | None:
    if _is_empty(execution):
        return _unavailable("Its history")
    first = execution.events[0] if execution.events else {}
    if execution.events and (first.get("EventType") != "ExecutionStarted" or first.get("EventId", 1) != 1):
        headline = "Its history is incomplete: the first events are missing, so what it does is not known."
        advice = Advice("export the history again, from its first event")
        return Explanation(StateKind.HISTORY_INCOMPLETE, headline, advice=(advice,))
    missing = missing_events(execution)
    if missing is not None:
        headline = f"Its history is incomplete: {events_text(*missing)}, so what it does is not known."
        return Explanation(StateKind.HISTORY_INCOMPLETE, headline, advice=(Advice("export the whole history again"),))
    return None


def _paused(execution: RecordedExecution) -> Explanation | None:
    if execution.status not in ("PAUSED", "PAUSING"):
        return None
    events = [one for one in execution.events if one.get("EventType") == "ExecutionPaused"]
    at = events[-1].get("EventTimestamp") if events else None
    since = at if isinstance(at, datetime) else None
    if execution.status == "PAUSING":
        return Explanation(
            StateKind.PAUSING, "It is being paused: the running invocation finishes first.", since=since,
            place=last_place(execution),
        )  # fmt: skip
    ended = [
        one for one in execution.operations if since is not None and one.ended_at is not None and one.ended_at > since
    ]
    causes = tuple(f"{one.path} ended while it was paused" for one in ended if one.type in SERVICE_ENDS)
    advice = Advice("resume it, which needs lambda:ResumeDurableExecution on AWS", command("resume", execution))
    return Explanation(
        StateKind.PAUSED, "It is paused, and nothing in it runs until you resume it.", since=since,
        place=resting_place(execution), causes=causes, advice=(advice,),
    )  # fmt: skip


def _failing(execution: RecordedExecution) -> Explanation | None:
    """The invocations at the end fail, and Lambda retries them."""
    failing = failing_invocations(execution)
    error = failing[-1].error if failing else None
    if error is None:
        return None
    count = len(failing)
    times = "its last invocation" if count == 1 else f"its last {counted(count, 'invocation')}"
    since, reason = failing[0].started_at, short_error(error)
    site = site_of_error(error, own_files(execution))
    place = last_place(execution)
    if _is_one_of(error, TIMED_OUT):
        return Explanation(
            StateKind.FUNCTION_TIMEOUT,
            f"It does not continue: the function timed out in {times}"
            f"{f', last at {place.path}' if place is not None else ''}.",
            since=since,
            place=place,
            causes=(f"{reason}",),
            advice=(RAISE_TIMEOUT,),
        )
    if _is_one_of(error, THROTTLED):
        advice = Advice("raise the function's reserved concurrency, or start fewer executions at once")
        headline = f"It does not continue: Lambda throttled {times}."
        return Explanation(
            StateKind.THROTTLED, headline, since=since, place=place, causes=(f"{reason}",), advice=(advice,)
        )
    is_killed = any(word in f"{error.type} {error.message}" for word in KILLED)
    if _is_one_of(error, BEFORE_HANDLER) and not is_killed and not _has_begun(execution, failing[-1]):
        headline = f"It does not continue: {times} failed before the handler started ({reason})."
        return Explanation(
            StateKind.FAILING_BEFORE_HANDLER,
            headline,
            since=since,
            place=Place("handler", call_site=site),
            advice=(FIX_DEPLOYMENT,),
        )
    headline = f"It does not continue: {times} failed with {reason}, and Lambda retries."
    place = Place(execution.handler or "handler", call_site=site) if site is not None else place
    if is_killed:
        advice = Advice("raise the function's memory: Lambda ended the process, as it does when memory runs out")
        return Explanation(StateKind.INVOCATIONS_FAILING, headline, since=since, place=place, advice=(advice,))
    advice = Advice("replay it to see where the code raises", command("replay", execution, "MODULE:HANDLER"))
    return Explanation(StateKind.INVOCATIONS_FAILING, headline, since=since, place=place, advice=(advice,))


def _has_begun(execution: RecordedExecution, invocation: RecordedInvocation) -> bool:
    """Tell whether an invocation made calls, so that its handler was running."""
    start, end = invocation.started_at, invocation.ended_at
    if start is None or end is None:
        return False
    moments = [one.started_at for one in execution.operations]
    moments += [attempt.started_at for one in execution.operations for attempt in one.attempts]
    return any(moment is not None and start <= moment <= end for moment in moments)


def _near_quota(execution: RecordedExecution, as_of: datetime | None) -> Explanation | None:
    warning = next(quota_warnings(execution), None)
    if warning is None:
        return near_time_limit(execution, as_of)
    advice = Advice("move work into invoked executions, or continue in a new execution before the quota ends this one")
    return Explanation(
        StateKind.QUOTA_NEAR, f"It is close to a quota: {warning.text}.", place=last_place(execution), advice=(advice,)
    )


def _followed(found: Explanation, as_of: datetime | None, look: Look | None, depth: int) -> Explanation:
    """Follow an invoked execution, recursively: what it waits for is what this one waits for."""
    if found.state is not StateKind.WAITING_FOR_INVOKE or look is None or depth >= MAX_CHAIN:
        return found
    arn = next((one.arn for one in found.waiting if one.place == found.place), None)
    invoked = look(arn) if arn else None
    if arn is None or invoked is None:
        return found
    inner = _explain(invoked, as_of, None, look, depth=depth + 1)
    return replace(found, chained=Chained(arn, inner), until=inner.until)


def _took(execution: RecordedExecution) -> str:
    if execution.started_at is None or execution.ended_at is None:
        return ""
    return f" after {duration((execution.ended_at - execution.started_at).total_seconds())}"


def _is_one_of(error: ErrorObject, types: tuple[str, ...]) -> bool:
    known = error.type or ""
    return known in types or known.rpartition(".")[2] in types
