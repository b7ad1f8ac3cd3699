"""How a replay ended, compared with how the recorded execution did."""

from collections.abc import Sequence

from durable_execution.comparison.call_tree import is_same_json
from durable_execution.divergence import DivergenceKind, Severity
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import ErrorObject, OperationType
from durable_execution.replay.run import ReplayRun
from durable_execution.replay.suspects import Suspect

TERMINAL = ("SUCCEEDED", "FAILED")


def outcome_difference(
    execution: RecordedExecution, run: ReplayRun
) -> tuple[DivergenceKind, str, str, Severity] | None:
    """Return the kind of the difference between the outcomes, both outcomes as text, and its severity."""
    outcome = outcome_of(run)
    if execution.status not in TERMINAL or outcome is None:
        return None
    if outcome == "PENDING":
        if any(not collected.is_recorded for collected in run.collector.calls.values()):
            return None
        return DivergenceKind.UNFINISHED, f"the execution {execution.status.lower()}", "still waiting", Severity.ERROR
    if outcome != execution.status:
        error = ErrorObject.from_wire((run.answer or {}).get("Error"))
        shown = f"{outcome.lower()}: {error}" if error else outcome.lower()
        return DivergenceKind.OUTCOME, execution.status.lower(), shown, Severity.ERROR
    return _value_difference(execution, run)


def _value_difference(execution: RecordedExecution, run: ReplayRun) -> tuple[DivergenceKind, str, str, Severity] | None:
    if execution.status == "FAILED":
        recorded = execution.error.type if execution.error else None
        replayed = ((run.answer or {}).get("Error") or {}).get("ErrorType")
        if recorded is None or last_name(recorded) == last_name(replayed):
            return None
        return DivergenceKind.OUTCOME, f"error {recorded}", f"error {replayed}", Severity.WARNING
    result = result_of(run)
    if execution.result is None or is_same_json(execution.result, result):
        return None
    return DivergenceKind.OUTCOME, f"result {execution.result:.60}", f"result {result or 'null':.60}", Severity.WARNING


def last_name(error_type: str | None) -> str:
    """Return the name of an error type without its module."""
    return (error_type or "").rpartition(".")[2]


def outcome_of(run: ReplayRun) -> str | None:
    """Return the status with which a replay ended; None when it has no answer."""
    return str(run.answer["Status"]) if run.answer is not None and "Status" in run.answer else None


def result_of(run: ReplayRun) -> str | None:
    """Return the result, including one that was too large to return and was checkpointed instead."""
    for update in run.service.updates:
        if update["Type"] == OperationType.EXECUTION:
            payload: str | None = update.get("Payload")
            return payload
    return (run.answer or {}).get("Result")


def depends_on_place(suspects: Sequence[Suspect]) -> bool:
    """Whether the outcome may depend on where the code runs, for example on the environment or the date."""
    return any(
        suspect.kind in ("environment", "file", "process", "lambda_context") or "today" in suspect.what
        for suspect in suspects
    )
