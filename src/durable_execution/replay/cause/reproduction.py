"""Looks for two replays of today's code whose calls differ, and for the line that makes them differ.

Replays in one process show what code keeps between executions: counters, closures, caches, default arguments. Replays in
processes with a different hash seed, clock, time zone, locale, random seed and environment show the rest. Everything is changed
at once: the slice tells which of it matters. One of the clocks is the recorded one, so that a branch on the time goes as it did.

The code is deterministic as far as this shows when no two replays differ at the call in question; then no cause is reported.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from durable_execution.divergence import Cause, Divergence, DivergenceKind, Evidence
from durable_execution.history.recorded import RecordedExecution
from durable_execution.observers import OperationCall
from durable_execution.redaction import Redaction
from durable_execution.replay.cause.origin import cause_of, is_known, source_of
from durable_execution.replay.cause.slicing import Slice
from durable_execution.replay.cause.value_sources import Source
from durable_execution.replay.lines.line_recorder import LineRecorder
from durable_execution.replay.lines.line_recording import LineRecording
from durable_execution.replay.lines.probes import Stepping
from durable_execution.replay.recorded_state import RecordedState
from durable_execution.replay.run import ReplayRun, run_once
from durable_execution.replay.source.statements import outer_reads
from durable_execution.replay.surroundings import HERE
from durable_execution.replay.suspects import Suspect

ROUND, NUMBER = re.compile(r"\(\d+\)"), re.compile(r"\d+")
"""What tells rounds and items apart in the path of a call: `lines#0/audit`, `lines#2/audit(4)`."""


LONGEST = 240
"""Longest text of a value. Texts are compared, and hardly shown; long ones would take most of the time between processes."""


FIRST_CALLS, LAST_CALLS = 8, 24
"""The calls whose lines are recorded with values at first. What makes a difference is mostly near the start or the parting call."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One replay of today's code, recorded by line.

    Attributes:
        name: Which replay it is, and where it ran.
        calls: Path and type of each call, by id.
        outcome: Status that the handler answered.
        result: Its result or error, as text.
        has_failed: Whether the handler raised, and not because of a difference.
        diverged: Id of the call at which it differs from the recording; None if it does not.
        lines: What it did.
    """

    name: str
    calls: Mapping[str, str]
    outcome: str | None
    result: str | None
    has_failed: bool
    diverged: str | None
    lines: LineRecording

    @property
    def place(self) -> str:
        """Where it ran."""
        return self.name.partition(" in ")[2]

    @property
    def is_whole(self) -> bool:
        """Whether its lines have all their values."""
        return self.lines.blank == (0, 0)

    @property
    def has_lines(self) -> bool:
        """Whether it was recorded by line."""
        return bool(self.lines.events)

    def goes_like(self, other: "Variant") -> bool:
        """Whether two replays make the same calls and end in the same way, so that they show no cause."""
        fields = ("calls", "outcome", "result", "has_failed", "diverged")
        return all(getattr(self, name) == getattr(other, name) for name in fields)

    def parts_from(self, other: "Variant") -> bool:
        """Whether two replays make different calls, without regard to what is given to them."""
        ours, theirs = ({id_: label.partition(" ")[0] for id_, label in one.calls.items()} for one in (self, other))
        return ours != theirs or self.diverged != other.diverged

    def reaches(self, operation_id: str) -> bool:
        """Whether the replay got as far as a call, and was not ended by a difference at an earlier one."""
        return operation_id in self.calls or self.diverged in (None, operation_id)

    def to_wire(self) -> dict[str, Any]:
        """Return the variant as JSON values."""
        return {
            "name": self.name,
            "calls": dict(self.calls),
            "outcome": self.outcome,
            "result": self.result,
            "has_failed": self.has_failed,
            "diverged": self.diverged,
            "lines": self.lines.to_wire(),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Variant":
        """Read what `to_wire` wrote."""
        return cls(
            wire["name"],
            wire["calls"],
            wire["outcome"],
            wire["result"],
            wire["has_failed"],
            wire["diverged"],
            LineRecording.from_wire(wire["lines"]),
        )


def variants_here(
    handler: Any,
    execution: RecordedExecution,
    *,
    seconds: float,
    count: int = HERE,
    name: str = "this process",
    opened: frozenset[str] = frozenset(),
    calls_only: bool = False,
    blank: tuple[int, int] | None = None,
    stepping: Stepping | None = None,
) -> Iterator[Variant]:
    """Replay in this process and record each replay by line.

    Args:
        handler: A `DurableHandler`.
        execution: The recording.
        seconds: Time limit for all replays together.
        count: How many replays.
        name: Where they run, in words.
        opened: Finished contexts that run again, by recorded id.
        calls_only: Whether to record the calls only, which takes a fraction of the time.
        blank: The first call after which no values are recorded, and the call after which they are again; None for all.
        stepping: How to record the lines for a debugger; None records them for the search for a cause.
    """
    deadline = time.monotonic() + seconds
    for number in range(1, count + 1):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        recorder = None if calls_only else _recorder(stepping, execution, blank)
        run = run_once(
            handler,
            RecordedState.of(execution, opened=None if stepping is not None and stepping.opens_contexts else opened),
            seconds=left,
            watch=False,
            recorder=recorder,
            pretends=True,
        )
        lines = recorder.recording() if recorder is not None else LineRecording()
        if not run.is_timed_out:
            yield _variant(f"replay {number} in {name}", run, lines)


def blank_of(first: Variant, other: Variant | None = None) -> tuple[int, int] | None:
    """Return the calls between which values probably do not matter; None if there are few before those that matter.

    Args:
        first: A replay.
        other: One that makes different calls; None for the call at which the first differs from the recording.
    """
    calls = list(first.calls.items())
    if other is None:
        parting = next((n for n, (id_, _) in enumerate(calls) if id_ == first.diverged), len(calls))
    else:
        pairs = enumerate(zip(calls, other.calls.items(), strict=False))
        parting = next((n for n, (one, two) in pairs if one != two), min(len(calls), len(other.calls)))
    return (FIRST_CALLS, parting - LAST_CALLS) if parting > 2 * (FIRST_CALLS + LAST_CALLS) else None


def _recorder(stepping: Stepping | None, execution: RecordedExecution, blank: tuple[int, int] | None) -> LineRecorder:
    if stepping is None:
        return LineRecorder(paths=outer_reads, longest=LONGEST, blank=blank)
    if not stepping.hides_secrets:
        return LineRecorder(probes=stepping.probes)
    rules, known = Redaction(), set[str]()
    for payload in (execution.input, *(operation.result for operation in execution.operations)):
        known |= rules.hidden_in(payload or "")
    return LineRecorder(secrets=rules, known=known, probes=stepping.probes)


def _variant(name: str, run: ReplayRun, lines: LineRecording) -> Variant:
    calls = {id_: _label(one.call) for id_, one in run.collector.calls.items()}
    diverged = run.collector.diverged
    if diverged is not None and diverged.call is not None:
        calls.setdefault(diverged.call.id, _label(diverged.call))
    answer = run.answer or {}
    result = answer.get("Result") or json.dumps((answer.get("Error") or {}).get("ErrorType"))
    return Variant(name, calls, answer.get("Status"), result, run.has_failed, _diverged_at(run), lines)


def _label(call: OperationCall) -> str:
    """What is compared of a call between two replays."""
    configuration = dict(call.configuration or {})
    if configuration.get("has_jitter"):
        configuration = {}
    return f"{call.path} {call.type} {call.subtype} {configuration} {call.input}"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What replays show together.

    Attributes:
        cause: The cause; None when no two of them differ at the call.
        is_clear: Whether it is known what its line depends on, and not only that it differs.
        is_short: Whether the recordings leave out values that are needed to tell.
        source: What its line depends on.
    """

    cause: Cause | None = None
    is_clear: bool = False
    is_short: bool = False
    source: Source | None = None


def reproduced(
    variants: Sequence[Variant], divergence: Divergence, operation_id: str | None, suspects: Sequence[Suspect]
) -> Reproduction:
    """Return the cause that two of the variants show.

    Args:
        variants: Replays of today's code.
        divergence: The difference to explain.
        operation_id: Id of the call at which the first replay differs from the recording.
        suspects: What was observed while the code ran.
    """
    best = Reproduction()
    fails = bool(variants) and variants[0].has_failed and operation_id is None
    usable = [one for one in variants if fails or not one.has_failed or all(other.has_failed for other in variants)]
    for number, left in enumerate(usable):
        for right in usable[number + 1 :]:
            if left.has_failed and not right.has_failed:
                found: Slice | None = Slice.from_error(left.lines, right.lines)
            else:
                found = _slice(left, right, divergence, operation_id)
            if found is not None and found.is_short:
                return Reproduction(is_short=True)
            for origin in found.origins if found is not None else ():
                is_clear = is_known(origin, suspects)
                if best.cause is None or is_clear:
                    decision = found.decision if found is not None else None
                    is_one = left.place == right.place != ""
                    cause = cause_of(origin, decision, Evidence.REPRODUCED, suspects, in_one_process=is_one)
                    best = Reproduction(cause, is_clear, source=source_of(origin, suspects))
                if is_clear:
                    return best
    return best


def _slice(left: Variant, right: Variant, divergence: Divergence, operation_id: str | None) -> Slice | None:
    if divergence.kind is DivergenceKind.OUTCOME and operation_id is None:
        if left.calls != right.calls or (left.outcome, left.result) == (right.outcome, right.result):
            return None
        return Slice.from_result(left.lines, right.lines)
    for id_ in _candidates(left, right, divergence, operation_id):
        if left.calls.get(id_) != right.calls.get(id_) and left.reaches(id_) and right.reaches(id_):
            return Slice.from_call(left.lines, right.lines, id_)
    return None


def _candidates(left: Variant, right: Variant, divergence: Divergence, operation_id: str | None) -> Iterator[str]:
    """Yield the ids of calls that may show the difference: its own, and those of the same call in other items or rounds.

    What code decides by chance for each item shows at a different item in each replay. It is the same call if it has the same
    name, or is made by the same line, which may give each of its calls a name that varies.
    """
    if operation_id is None:
        return
    yield operation_id
    lines = {_line_of(one, operation_id) for one in (left, right)} - {None}
    sides = [side for side in (divergence.replayed, divergence.recorded) if side is not None]
    wanted = tuple(_folded(f"{side.path or divergence.path} {side.type} ") for side in sides)
    for id_ in (left.diverged, right.diverged):
        label = left.calls.get(id_) or right.calls.get(id_) if id_ is not None else None
        if id_ is None or label is None:
            continue
        if _folded(label).startswith(wanted) or not lines.isdisjoint(_line_of(one, id_) for one in (left, right)):
            yield id_


def _line_of(variant: Variant, operation_id: str) -> tuple[str, int] | None:
    """The file and line that make a call in a replay; None if it does not make it."""
    at = variant.lines.operation(operation_id)
    if at is None:
        return None
    event = variant.lines.events[at]
    return variant.lines.frames[event.frame].file, event.line


def _folded(label: str) -> str:
    return NUMBER.sub("#", ROUND.sub("", label))


def _diverged_at(run: ReplayRun) -> str | None:
    """Return the id of the call at which a replay first differs from the recording."""
    diverged = run.collector.diverged
    if diverged is None:
        return None
    if diverged.call is not None:
        return diverged.call.id
    recorded = diverged.divergence.recorded
    return recorded.id if recorded is not None else None
