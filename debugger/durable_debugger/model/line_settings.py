"""What the user wants to see and to stop at while stepping through lines: breakpoints, conditions, log expressions, watches.

They stay when the execution is replayed again. Their values come from a further replay that evaluates them where they apply.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from durable_execution.counts import counted
from durable_execution.replay.lines.line_recording import EventKind, LineRecording
from durable_execution.replay.lines.probes import RAISED, Probe, is_true

Place = tuple[str, int]
"""A file and a line."""


@dataclass(slots=True)
class Breakpoint:
    """A line to stop at.

    Attributes:
        condition: It stops only where this expression is true; empty stops always.
        log: The value of this expression is shown at the line, and it does not stop; empty logs nothing.
    """

    condition: str = ""
    log: str = ""

    @property
    def words(self) -> str:
        """What it does, for a remark."""
        if self.log:
            return f"logs {self.log}"
        return f"stops if {self.condition}" if self.condition else "stops"


@dataclass(slots=True)
class LineSettings:
    """Breakpoints on lines, and expressions.

    Attributes:
        breakpoints: By file and line.
        calls: Names of the calls to stop at.
        watches: Expressions whose values are shown at every line.
        values: Texts of the expressions by event, as far as a replay evaluated them.
        once: The expression that was evaluated last, with the event and its value.
    """

    breakpoints: dict[Place, Breakpoint] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    watches: list[str] = field(default_factory=list)
    values: dict[str, dict[int, str]] = field(default_factory=dict)
    once: tuple[str, int, str] | None = None

    def toggle(self, place: Place) -> bool:
        """Toggle a breakpoint on a line.

        Returns:
            Whether it is set now.
        """
        if self.breakpoints.pop(place, None) is not None:
            return False
        self.breakpoints[place] = Breakpoint()
        return True

    def toggle_watch(self, expression: str) -> bool:
        """Toggle a watch.

        Returns:
            Whether it is watched now.
        """
        if expression in self.watches:
            self.watches.remove(expression)
            return False
        self.watches.append(expression)
        return True

    def probes(self) -> tuple[Probe, ...]:
        """Return the expressions that a replay has to evaluate."""
        return (*(Probe(each) for each in self.watches), *self._at_lines())

    def _at_lines(self) -> Iterator[Probe]:
        for (file, line), each in self.breakpoints.items():
            if each.condition:
                yield Probe(_condition(each.condition), file, line)
            if each.log:
                yield Probe(each.log, file, line)

    def take(self, recording: LineRecording, original: LineRecording, probes: tuple[Probe, ...]) -> bool:
        """Take the values from a replay that evaluated expressions.

        Returns:
            Whether that replay did what the original one did; otherwise its values would stand at other lines.
        """
        if not _is_same(recording, original):
            return False
        wanted = {each.expression for each in probes}
        found: dict[str, dict[int, str]] = {each: {} for each in wanted}
        for index, event in enumerate(recording.events):
            for expression in wanted & event.reads.keys():
                found[expression][index] = event.reads[expression] or ""
        self.values.update(found)
        return True

    def forget_values(self) -> None:
        """Forget the values of an earlier replay."""
        self.values.clear()
        self.once = None

    def stops_at(self, place: Place, index: int) -> bool:
        """Whether a breakpoint stops at an event."""
        found = self.breakpoints.get(place)
        if found is None or found.log:
            return False
        return not found.condition or is_true(self.values.get(_condition(found.condition), {}).get(index))

    def remark(self, place: Place) -> str:
        """Say what came of the condition of a breakpoint: how often it stops, or why it never does; empty without a condition."""
        found = self.breakpoints.get(place)
        if found is None or not found.condition:
            return ""
        texts = list(self.values.get(_condition(found.condition), {}).values())
        raised = next((text for text in texts if text.startswith(RAISED)), None)
        stops = sum(map(is_true, texts))
        if not texts:
            return f"line {place[1]} does not run in this replay"
        if raised is not None and not stops:
            return f"never stops at line {place[1]}: the condition {raised}"
        return (
            f"stops at line {place[1]} in {stops} of {counted(len(texts), 'run')}"
            if stops
            else f"the condition is never true at line {place[1]}"
        )

    def logged(self, place: Place, index: int) -> tuple[int, str] | None:
        """The number of values that a log expression had up to an event, and the last of them."""
        found = self.breakpoints.get(place)
        if found is None or not found.log:
            return None
        reached = [text for at, text in self.values.get(found.log, {}).items() if at <= index]
        return (len(reached), reached[-1]) if reached else (0, "")


def _condition(expression: str) -> str:
    return f"bool({expression})"


def _is_same(one: LineRecording, other: LineRecording) -> bool:
    if len(one.events) != len(other.events):
        return False
    return all(
        (left.kind, left.line) == (right.kind, right.line) or EventKind.LINE not in (left.kind, right.kind)
        for left, right in zip(one.events, other.events, strict=True)
    )
