"""An execution as Chrome trace events, for Perfetto, Chrome and Speedscope."""

from typing import Any

from durable_debugger.model import facts
from durable_debugger.text.durations import between
from durable_execution.history.recorded import RecordedExecution, RecordedOperation

MICROSECONDS = 1_000_000
INVOCATIONS = 1
FIRST_TRACK = 2


def perfetto_trace(execution: RecordedExecution) -> dict[str, Any]:
    """Return complete events: invocations on one track, calls on as many tracks as run at the same time."""
    tracks = _Tracks(execution)
    events: list[dict[str, Any]] = [
        _named("process_name", 1, 0, execution.name or execution.id or "execution"),
        _named("thread_name", 1, INVOCATIONS, "invocations"),
    ]
    for invocation in execution.invocations:
        start = between(execution.started_at, invocation.started_at)
        if start is not None:
            end = between(execution.started_at, invocation.ended_at)
            name = f"invocation {invocation.number}"
            facts_of = {"outcome": invocation.outcome, "request_id": invocation.request_id}
            events.append(_complete(name, start, start if end is None else end, INVOCATIONS, facts_of))
    for operation in execution.operations:
        placed = tracks.place(operation)
        if placed is not None:
            start, end, track = placed
            events.append(_complete(facts.label(operation), start, end, track, _facts(operation)))
    events += [_named("thread_name", 1, track, f"calls {track - FIRST_TRACK + 1}") for track in tracks.used()]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


class _Tracks:
    """Assigns tracks. A call shares the track of its context unless an overlapping call is already on it."""

    def __init__(self, execution: RecordedExecution) -> None:
        self._origin = execution.started_at
        self._until = between(execution.started_at, execution.ended_at)
        self._busy: dict[int, list[tuple[int, float]]] = {}
        self._track_of: dict[str, int] = {}

    def place(self, operation: RecordedOperation) -> tuple[float, float, int] | None:
        """Start, end and track of a call; None when its start is unknown."""
        start = between(self._origin, operation.started_at)
        if start is None:
            return None
        end = between(self._origin, operation.ended_at)
        end = max(start, self._until or start) if end is None else end
        track = self._track_of.get(operation.parent_id or "", FIRST_TRACK)
        while not self._is_free(track, operation.depth, start):
            track += 1
        self._busy.setdefault(track, []).append((operation.depth, end))
        self._track_of[operation.id] = track
        return start, end, track

    def used(self) -> list[int]:
        """The tracks that hold calls."""
        return sorted(self._busy)

    def _is_free(self, track: int, depth: int, start: float) -> bool:
        return all(end <= start for other, end in self._busy.get(track, ()) if other >= depth)


def _facts(operation: RecordedOperation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "path": operation.path,
        "type": operation.type.value,
        "status": operation.status.value,
        "attempts": len(operation.attempts),
        "error": str(operation.error) if operation.error else None,
    }


def _complete(name: str, start: float, end: float, track: int, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "ph": "X",
        "ts": round(start * MICROSECONDS),
        "dur": max(round((end - start) * MICROSECONDS), 1),
        "pid": 1,
        "tid": track,
        "args": {key: value for key, value in arguments.items() if value is not None},
    }


def _named(kind: str, process: int, track: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": process, "tid": track, "args": {"name": name}}
