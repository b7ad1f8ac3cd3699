"""The open executions of a deployed function: which of them a deployment puts at risk, and holding those over it.

An execution keeps the function version that it started on for all its replays. So only executions on `$LATEST` replay the
code that is deployed next; those on a published version keep that version.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from durable_execution.divergence import Severity
from durable_execution.protocol import Wire
from durable_execution.protocol.service_side import ExecutionArn
from durable_execution.replay.checks import OPEN, Source, listed_executions, load_execution
from durable_execution.replay.refusals import ABSENT, CONFLICT, DENIED, error_code
from durable_execution.replay.report import ReplayReport, Verdict

LATEST = "$LATEST"
HELD_BY = "durable-debug gate: "
"""How the reason of a hold begins: `release` resumes only what was paused with such a reason."""

MAX_REASON = 1024


class Exposure(StrEnum):
    """Whether a deployment changes the code that an execution replays."""

    AT_RISK = "at_risk"
    PINNED = "pinned"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OpenExecution:
    """An execution that has not ended.

    Attributes:
        arn: Its ARN.
        status: RUNNING, PAUSING or PAUSED.
        version: The version it runs on; None if its ARN does not say.
        exposure: Whether a deployment changes its code.
    """

    arn: str
    status: str
    version: str | None
    exposure: Exposure

    def source(self, client: Any) -> Source:
        """Return it as a recording to replay."""
        return Source(self.arn, partial(load_execution, client, self.arn))


@dataclass(frozen=True, slots=True)
class Held:
    """What was done, or would be done, with one execution.

    Attributes:
        arn: The execution.
        reason: Why it is held or released.
        problem: Why that was not possible; None if it was.
    """

    arn: str
    reason: str
    problem: str | None = None


def open_executions(client: Any, function: str, *, qualifier: str | None = None) -> Iterator[OpenExecution]:
    """List the executions of a function that have not ended, page by page.

    Args:
        client: `boto3.client("lambda")`, or the local engine's client.
        function: The function's name or ARN.
        qualifier: List only executions of this version or alias.

    Raises:
        Exception: The client's error when it cannot list the executions.
    """
    for execution in listed_executions(client, function, qualifier=qualifier, statuses=OPEN):
        yield _open(execution)


def would_break(report: ReplayReport) -> bool:
    """Whether an execution would not go on as recorded: anything but `same`, as far as that is known."""
    return report.verdict not in (Verdict.SAME, Verdict.UNREADABLE, Verdict.INTERRUPTED, Verdict.NO_HANDLER)


def reason_for(report: ReplayReport, target: str) -> str:
    """Return why an execution is held: the first difference, and the code it was replayed against."""
    root = next((one for one in report.roots if one.severity is not Severity.INFO), None)
    found = root.headline if root is not None else report.error or report.verdict.value
    return f"{HELD_BY}{report.verdict.value} against {target}: {found}"[:MAX_REASON]


def hold(client: Any, arn: str, reason: str) -> Held:
    """Pause an execution. One that is paused already, or has ended, stays as it is.

    No token makes the request repeatable: an execution that was released must be held again.
    """
    return _act(
        arn,
        reason,
        "PauseDurableExecution",
        lambda: client.pause_durable_execution(DurableExecutionArn=arn, Reason=reason, ExecutionTimeoutPaused=True),
    )


def release(client: Any, arn: str, reason: str) -> Held:
    """Resume an execution. One that runs already, or has ended, stays as it is."""
    return _act(
        arn,
        reason,
        "ResumeDurableExecution",
        lambda: client.resume_durable_execution(DurableExecutionArn=arn, Reason=reason),
    )


def hold_reason(client: Any, execution: OpenExecution) -> str | None:
    """Return the reason an execution was held with; None if the gate did not hold it.

    Raises:
        Exception: The client's error when it cannot read the execution.
    """
    if execution.status not in ("PAUSED", "PAUSING"):
        return None
    found: Wire = client.get_durable_execution(DurableExecutionArn=execution.arn, IncludeExecutionData=True)
    reason = str((found.get("PauseDetails") or {}).get("Reason") or "")
    return reason if reason.startswith(HELD_BY) else None


def _open(execution: Wire) -> OpenExecution:
    arn = str(execution["DurableExecutionArn"])
    try:
        version = ExecutionArn.parse(arn).version
    except ValueError:
        return OpenExecution(arn, str(execution["Status"]), None, Exposure.UNKNOWN)
    pinned = Exposure.PINNED if version.isdigit() else Exposure.UNKNOWN
    exposure = Exposure.AT_RISK if version == LATEST else pinned
    return OpenExecution(arn, str(execution["Status"]), version, exposure)


def _act(arn: str, reason: str, operation: str, call: Any) -> Held:
    try:
        call()
    except Exception as error:  # one execution that cannot be paused must not keep the others from it
        code = error_code(error)
        if code is None:
            raise
        if code in (CONFLICT, ABSENT):
            return Held(arn, reason)  # an earlier run of this command, or the end of the execution, came first
        advice = f"grant lambda:{operation}: " if code in DENIED else ""
        return Held(arn, reason, f"{advice}{code}: {error}")
    return Held(arn, reason)
