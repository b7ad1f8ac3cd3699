"""An execution as Chrome trace events, which Perfetto, Chrome and Speedscope open."""

from typing import Any

from durable_debugger.model import facts
from durable_debugger.text.durations import between
from durable_execution.replay.recorded import RecordedExecution, RecordedOperation

MICROSECONDS = 1_000_000
INVOCATIONS = 1
FIRST_LANE = 2


def perfetto_trace(execution: RecordedExecution) -> dict[str, Any]:
    """Complete events: invocations in one lane, calls in as many as run at the same time."""
    lanes = _Lanes(execution)
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
        placed = lanes.place(operation)
        if placed is not None:
            start, end, lane = placed
            events.append(_complete(facts.label(operation), start, end, lane, _facts(operation)))
    events += [_named("thread_name", 1, lane, f"calls {lane - FIRST_LANE + 1}") for lane in lanes.used()]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


class _Lanes:
    """A call shares a lane with the context around it, unless another call is still in it there."""

    def __init__(self, execution: RecordedExecution) -> None:
        self._origin = execution.started_at
        self._until = between(execution.started_at, execution.ended_at)
        self._busy: dict[int, list[tuple[int, float]]] = {}
        self._lane_of: dict[str, int] = {}

    def place(self, operation: RecordedOperation) -> tuple[float, float, int] | None:
        """Start, end and lane of a call; None when it is not known when it started."""
        start = between(self._origin, operation.started_at)
        if start is None:
            return None
        end = between(self._origin, operation.ended_at)
        end = max(start, self._until or start) if end is None else end
        lane = self._lane_of.get(operation.parent_id or "", FIRST_LANE)
        while not self._is_free(lane, operation.depth, start):
            lane += 1
        self._busy.setdefault(lane, []).append((operation.depth, end))
        self._lane_of[operation.id] = lane
        return start, end, lane

    def used(self) -> list[int]:
        """The lanes with calls in them."""
        return sorted(self._busy)

    def _is_free(self, lane: int, depth: int, start: float) -> bool:
        return all(end <= start for other, end in self._busy.get(lane, ()) if other >= depth)


def _facts(operation: RecordedOperation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "path": operation.path,
        "type": operation.type.value,
        "status": operation.status.value,
        "attempts": len(operation.attempts),
        "error": str(operation.error) if operation.error else None,
    }


def _complete(name: str, start: float, end: float, lane: int, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "ph": "X",
        "ts": round(start * MICROSECONDS),
        "dur": max(round((end - start) * MICROSECONDS), 1),
        "pid": 1,
        "tid": lane,
        "args": {key: value for key, value in arguments.items() if value is not None},
    }


def _named(kind: str, process: int, lane: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": process, "tid": lane, "args": {"name": name}}
