"""The differences that a replay found, for the command line and for replays from inside the app."""

from durable_debugger.model.differences import Differences, of_report
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay.report import ReplayReport, Verdict

FAILURES = frozenset({Verdict.DIVERGED, Verdict.EFFECTS, Verdict.FAILED, Verdict.STUCK, Verdict.UNREADABLE})


def differences_of(report: ReplayReport, execution: RecordedExecution) -> Differences:
    """Return a report's differences, for the rows of its own execution."""
    execution = report.execution or execution
    rows = {operation.id: row for row, operation in enumerate(execution.operations)}
    return Differences(
        of_report(report),
        rows,
        operations=execution.operations,
        remark=remark_of(report),
        is_failure=report.verdict in FAILURES,
    )


def remark_of(report: ReplayReport) -> str:
    """Return the result of a replay that found no difference, in one sentence."""
    calls = f"{report.calls} call{'' if report.calls == 1 else 's'}"
    if report.verdict is Verdict.SAME:
        return f"Same: your code makes the {calls} of the recording"
    if report.verdict is Verdict.EFFECTS:
        first = f": {report.effects[0]}" if report.effects else ""
        return f"Your code attempts a side effect outside a step{first}"
    if report.verdict is Verdict.STUCK:
        return f"Your code is stuck: {report.error}" if report.error else "Your code is stuck"
    return f"Your code failed: {report.error}" if report.error else ""
