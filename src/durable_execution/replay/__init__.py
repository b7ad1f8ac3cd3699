"""Replays recorded executions against today's code, without side effects, and reports where the two differ."""

from typing import TYPE_CHECKING

from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side, explain
from durable_execution.lazy_names import lazy_names
from durable_execution.replay.check import Handlers, Source, check, fetch_history, running_executions
from durable_execution.replay.loading import history_files, load_handler, load_history
from durable_execution.replay.replayer import Replayer, state_at
from durable_execution.replay.report import ExitCode, ReplayReport, Verdict, worst
from durable_execution.replay.run import UnusableHandlerError
from durable_execution.replay.suspects import Suspect, SuspectKind

if TYPE_CHECKING:
    from durable_execution.replay.formats import FORMATS, render
    from durable_execution.replay.pool import check_in_workers
    from durable_execution.replay.supervisor import WorkerOptions
else:  # a process that replays does not need them
    __getattr__ = lazy_names(
        __name__,
        {"FORMATS": "formats", "render": "formats", "check_in_workers": "pool", "WorkerOptions": "supervisor"},
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
