"""The result of a replay, as one value for the command line, pytest, CI formats and the debugger."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from durable_execution.comparison.comparison import Row
from durable_execution.divergence import Divergence, Severity, explanation
from durable_execution.history.recorded import RecordedExecution

if TYPE_CHECKING:  # what only shows reports loads nothing that watches a replay
    from durable_execution.replay.suspects import Suspect

SCHEMA = "durable-replay-report"
VERSION = 1


class Verdict(StrEnum):
    """The result of a replay.

    Attributes:
        SAME: The code makes the recorded calls.
        DIVERGED: It makes different calls.
        EFFECTS: It acts outside of steps.
        FAILED: It fails where the recording did not.
        STUCK: It did not finish in time, and was interrupted.
        UNREADABLE: The recording cannot be read, or does not hold enough to tell.
        UNSTABLE: The result depends on what ran earlier in the process.
        EXITED: It ended its process.
        KILLED: Its process was killed by a signal, such as a segmentation fault.
        HUNG: It did not finish in time, and could not be interrupted.
        MEMORY: It ran out of memory.
        RECURSION: It called itself without end.
        FORGED: It wrote to the connection on which the worker answers.
        INTERRUPTED: The command was interrupted before the recording was replayed.
        NO_HANDLER: There is no such handler.
    """

    SAME = "same"
    DIVERGED = "diverged"
    EFFECTS = "effects"
    FAILED = "failed"
    STUCK = "stuck"
    UNREADABLE = "unreadable"
    UNSTABLE = "unstable"
    EXITED = "exited"
    KILLED = "killed"
    HUNG = "hung"
    MEMORY = "memory"
    RECURSION = "recursion"
    FORGED = "forged"
    INTERRUPTED = "interrupted"
    NO_HANDLER = "no_handler"


class ExitCode(IntEnum):
    """Exit codes of the commands; a public interface."""

    SAME = 0
    DIVERGED = 1
    USAGE = 2
    CANNOT_LOAD = 3
    HANDLER_FAILED = 4
    INTERRUPTED = 130


EXIT_CODES = {
    Verdict.SAME: ExitCode.SAME,
    Verdict.DIVERGED: ExitCode.DIVERGED,
    Verdict.EFFECTS: ExitCode.DIVERGED,
    Verdict.FAILED: ExitCode.HANDLER_FAILED,
    Verdict.STUCK: ExitCode.HANDLER_FAILED,
    Verdict.UNREADABLE: ExitCode.CANNOT_LOAD,
    Verdict.UNSTABLE: ExitCode.DIVERGED,
    Verdict.EXITED: ExitCode.HANDLER_FAILED,
    Verdict.KILLED: ExitCode.HANDLER_FAILED,
    Verdict.HUNG: ExitCode.HANDLER_FAILED,
    Verdict.MEMORY: ExitCode.HANDLER_FAILED,
    Verdict.RECURSION: ExitCode.HANDLER_FAILED,
    Verdict.FORGED: ExitCode.HANDLER_FAILED,
    Verdict.INTERRUPTED: ExitCode.INTERRUPTED,
    Verdict.NO_HANDLER: ExitCode.USAGE,
}


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """One recording, replayed against one handler.

    Attributes:
        source: The recording: a file name or an ARN.
        handler: `module:qualname`.
        verdict: The result.
        divergences: The differences, roots and follow-on ones, in tree order.
        rows: Recorded and replayed calls side by side.
        suspects: Inputs that the code used besides the recording, such as the clock.
        effects: Side effects the code attempted outside steps; they were refused.
        outcome: How the replay ended: SUCCEEDED, FAILED or PENDING; None when it did not end.
        error: The error the handler raised, or why no verdict was possible; one line.
        calls: The number of calls the code made.
        ends: Paths of the calls past the end of the recording, which the code would make next.
        notes: Limits of the verdict, one line each.
        replays: The number of replays it took.
        isolation: The layers of isolation that were on; empty when it was not replayed.
        at_import: Effects of the handler's module when it was imported, and what replays lack because of them, one line
            each. Known for replays in a process of their own only.
        execution: The recording; None when it could not be read.
    """

    source: str
    handler: str
    verdict: Verdict
    divergences: tuple[Divergence, ...] = ()
    rows: tuple[Row, ...] = ()
    suspects: tuple["Suspect", ...] = ()
    effects: tuple["Suspect", ...] = ()
    outcome: str | None = None
    error: str | None = None
    calls: int = 0
    ends: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    replays: int = 0
    isolation: tuple[str, ...] = ()
    at_import: tuple[str, ...] = ()
    execution: RecordedExecution | None = field(default=None, repr=False)

    @property
    def roots(self) -> tuple[Divergence, ...]:
        """Root differences that are errors or warnings, errors first."""
        return roots_of(self.divergences)

    @property
    def root(self) -> Divergence | None:
        """The first difference; None when there is none."""
        return next(iter(self.roots), None)

    @property
    def is_same(self) -> bool:
        """Whether the replay found no difference."""
        return self.verdict is Verdict.SAME

    @property
    def exit_code(self) -> ExitCode:
        """The exit code for this report."""
        return EXIT_CODES[self.verdict]

    def to_wire(self) -> dict[str, Any]:
        """Return a JSON-ready form, without the rows and the recording."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "source": self.source,
            "handler": self.handler,
            "execution": _execution_wire(self.execution),
            "verdict": self.verdict.value,
            "exit_code": int(self.exit_code),
            "outcome": self.outcome,
            "error": self.error,
            "calls": self.calls,
            "replays": self.replays,
            "isolation": list(self.isolation),
            "at_import": list(self.at_import),
            "divergences": [
                {**one.to_wire(), "explanation": dict(explanation(one)), "title": one.title} for one in self.divergences
            ],
            "suspects": [_suspect_wire(one) for one in self.suspects],
            "effects": [_suspect_wire(one) for one in self.effects],
            "ends": list(self.ends),
            "notes": list(self.notes),
        }


def worst(reports: tuple[ReplayReport, ...] | list[ReplayReport]) -> ExitCode:
    """Return the exit code of many reports: interrupted takes precedence, then a wrong handler, cannot load, failed, diverged."""
    codes = {report.exit_code for report in reports}
    order = (ExitCode.INTERRUPTED, ExitCode.USAGE, ExitCode.CANNOT_LOAD, ExitCode.HANDLER_FAILED, ExitCode.DIVERGED)
    return next((code for code in order if code in codes), ExitCode.SAME)


def _execution_wire(execution: RecordedExecution | None) -> Mapping[str, Any] | None:
    if execution is None:
        return None
    return {
        "arn": execution.arn,
        "name": execution.name,
        "status": execution.status,
        "operations": len(execution.operations),
        "invocations": len(execution.invocations),
    }


def _suspect_wire(suspect: "Suspect") -> dict[str, Any]:
    return {
        "kind": suspect.kind.value,
        "what": suspect.what,
        "file": suspect.site.file,
        "line": suspect.site.line,
        "function": suspect.site.function,
        "after": suspect.path,
        "is_blocked": suspect.is_blocked,
    }


def roots_of(divergences: Iterable[Divergence]) -> tuple[Divergence, ...]:
    """Return the root differences that are errors or warnings, errors first: a report and the search for its cause begin there."""
    found = [one for one in divergences if one.is_root and one.severity is not Severity.INFO]
    return tuple(sorted(found, key=lambda one: one.severity is not Severity.ERROR))
