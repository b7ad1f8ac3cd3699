"""Replays recorded executions against today's code, without side effects, and reports where the two differ."""

from typing import TYPE_CHECKING

from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side, explain
from durable_execution.lazy_names import lazy_names

if TYPE_CHECKING:
    from durable_execution.replay.checks import Handlers, Source, check, fetch_history, running_executions
    from durable_execution.replay.formats import FORMATS, render
    from durable_execution.replay.loading import history_files, load_handler, load_history
    from durable_execution.replay.replayer import Replayer, state_at
    from durable_execution.replay.report import ExitCode, ReplayReport, Verdict, worst
    from durable_execution.replay.run import UnusableHandlerError
    from durable_execution.replay.suspects import Suspect, SuspectKind
    from durable_execution.replay.workers.pool import check_in_workers
    from durable_execution.replay.workers.supervisor import WorkerOptions
else:  # a process that replays does not need all of them, and one that shows a report replays nothing
    __getattr__ = lazy_names(
        __name__,
        {
            **dict.fromkeys(("Handlers", "Source", "check", "fetch_history", "running_executions"), "checks"),
            **dict.fromkeys(("FORMATS", "render"), "formats"),
            **dict.fromkeys(("history_files", "load_handler", "load_history"), "loading"),
            "check_in_workers": "workers.pool",
            **dict.fromkeys(("Replayer", "state_at"), "replayer"),
            **dict.fromkeys(("ExitCode", "ReplayReport", "Verdict", "worst"), "report"),
            "UnusableHandlerError": "run",
            "WorkerOptions": "workers.supervisor",
            **dict.fromkeys(("Suspect", "SuspectKind"), "suspects"),
        },
    )

__all__ = [
    "FORMATS",
    "Divergence",
    "DivergenceKind",
    "ExitCode",
    "Handlers",
    "ReplayReport",
    "Replayer",
    "Severity",
    "Side",
    "Source",
    "Suspect",
    "SuspectKind",
    "UnusableHandlerError",
    "Verdict",
    "WorkerOptions",
    "check",
    "check_in_workers",
    "explain",
    "fetch_history",
    "history_files",
    "load_handler",
    "load_history",
    "render",
    "running_executions",
    "state_at",
    "worst",
]
