"""Replays a recording as it stood after each event, to find code that breaks only when suspended at one point."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from durable_execution.replay.divergence import Divergence, Severity
from durable_execution.replay.recorded import RecordedExecution
from durable_execution.replay.wording import count
from durable_execution.replayer.replayer import Replayer, state_at
from durable_execution.replayer.report import ReplayReport, Verdict

DEFAULT_STATES = 300
STEADY = frozenset({"InvocationCompleted", "ExecutionStarted"})
"""Events that do not change an operation."""


def replay_every_prefix(
    handler: Any,
    execution: RecordedExecution,
    *,
    source: str | None = None,
    states: int = DEFAULT_STATES,
    seconds: float = 120.0,
) -> ReplayReport:
    """Replay the whole recording, then each of its earlier states.

    Args:
        handler: A handler made with `@durable_execution`.
        execution: The recording.
        source: The recording's name in the report.
        states: Maximum number of states; if there are more, an even sample is replayed.
        seconds: Time limit for all replays together.

    Returns:
        The report of the whole recording, with the differences that appear only in some states.
    """
    deadline = time.monotonic() + seconds
    whole = Replayer(handler, seconds=seconds).replay(execution, source=source)
    cuts = cut_points(execution, states)
    found = {(one.kind, one.path): one for one in whole.divergences}
    extra: list[Divergence] = []
    worst, error, replayed = whole.verdict, whole.error, 0
    for cut in cuts:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        replayed += 1
        report = Replayer(handler, seconds=left, inside=False).replay(state_at(execution, cut), source=source)
        for one in report.roots:
            if (one.kind, one.path) not in found:
                found[one.kind, one.path] = one
                extra.append(replace(one, likely=f"only when suspended after event {cut}: {one.likely}"))
        if report.verdict is Verdict.FAILED and execution.status == "FAILED" and not report.roots:
            continue  # it fails past the end of this state, as recorded
        if worst is Verdict.SAME and report.verdict is not Verdict.SAME:
            worst, error = report.verdict, f"after event {cut}: {report.error}" if report.error else None
    notes = _notes(replayed, len(cuts), len(execution.events))
    is_diverged = any(one.severity is not Severity.INFO for one in extra)
    return replace(
        whole,
        divergences=(*whole.divergences, *extra),
        verdict=Verdict.DIVERGED if is_diverged and worst is not Verdict.STUCK else worst,
        error=error,
        replays=whole.replays + replayed,
        notes=(*whole.notes, *notes),
    )


def cut_points(execution: RecordedExecution, most: int) -> list[int]:
    """Return at most `most` EventIds after which an operation had changed, without the last event."""
    numbered = [(event.get("EventId", number), event) for number, event in enumerate(execution.events, start=1)]
    changes = [number for number, event in numbered[:-1] if event.get("EventType") not in STEADY]
    if len(changes) <= most:
        return changes
    return sorted({changes[round(index * (len(changes) - 1) / (most - 1))] for index in range(most)})


def _notes(replayed: int, cuts: int, events: int) -> Sequence[str]:
    notes = [f"replayed {count(replayed, 'earlier state')}"]
    if replayed < cuts:
        notes.append(f"the time limit ended before {count(cuts - replayed, 'more state')} could be replayed")
    if cuts < events - 1:
        notes[0] += f" (of {events} events)"
    return notes
