"""A time axis that folds idle time, so that days of waiting do not flatten the work.

An execution works while an invocation runs and idles between invocations. An idle stretch that is long compared with the
work gets a few cells, however long it is; everything else is drawn to scale.

The critical path: the calls that determine how long an execution takes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from durable_debugger.text.durations import between
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.protocol import OperationType

IDLE_SHARE = 0.15
"""An idle stretch is folded when it is longer than this share of all work."""
FOLD_WIDTHS = ((2, 13), (4, 7), (40, 1))
"""Cells of a folded stretch, by the number of folded stretches."""
MIN_SPAN = 0.001
OUTLIER = 10
"""Where no work takes time, as on a clock that skips, waiting is folded that is this many times as long as all shorter waiting."""

DIGITS = 6
"""Times are rounded to the microsecond."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the axis.

    Attributes:
        start: Seconds from the start of the execution.
        end: Seconds.
        is_folded: Whether it is idle and folded.
        column: Its first column, in cells.
        cells: Its width in cells.
    """

    start: float
    end: float
    is_folded: bool
    column: float = 0.0
    cells: float = 0.0


class Timebase:
    """Maps seconds to columns.

    Args:
        busy: Working times as pairs of seconds; they may overlap.
        end: End of the axis in seconds.
        cells: Width of the axis.
        is_folding: Whether idle time is folded.

    Attributes:
        folds: Columns at which folded stretches start and end.
    """

    def __init__(self, busy: Iterable[tuple[float, float]], end: float, cells: int, *, is_folding: bool = True) -> None:
        self.cells = max(cells, 1)
        self.end = max(end, MIN_SPAN)
        stretches = _stretches(_merged(busy), self.end) if is_folding else [Stretch(0.0, self.end, False)]
        self.stretches = _laid_out(stretches, self.cells)
        self.folds = sorted(
            {
                column
                for stretch in self.stretches
                if stretch.is_folded and stretch.cells >= 1
                for column in (int(stretch.column), int(stretch.column + stretch.cells - 1))
            }
        )
        self._starts = [stretch.start for stretch in self.stretches]

    def column(self, seconds: float) -> float:
        """Column of a point in time."""
        if seconds <= 0:
            return 0.0
        stretch = self.stretches[max(bisect_right(self._starts, seconds) - 1, 0)]
        span = stretch.end - stretch.start
        share = min((seconds - stretch.start) / span, 1.0) if span > 0 else 0.0
        return stretch.column + share * stretch.cells

    def seconds(self, column: float) -> float:
        """The point in time at a column."""
        for stretch in self.stretches:
            if column < stretch.column + stretch.cells:
                share = (column - stretch.column) / stretch.cells if stretch.cells else 0.0
                return stretch.start + share * (stretch.end - stretch.start)
        return self.end

    @property
    def idle(self) -> float:
        """Seconds of folded idle time."""
        return sum(stretch.end - stretch.start for stretch in self.stretches if stretch.is_folded)


def busy_times(execution: RecordedExecution, until: float) -> list[tuple[float, float]]:
    """Return when invocations ran, in seconds from the start; or when attempts ran, if invocations have no times."""
    start = execution.started_at
    spans: list[tuple[float, float]] = []
    for invocation in execution.invocations:
        began = between(start, invocation.started_at)
        if began is not None:
            ended = between(start, invocation.ended_at)
            spans.append((began, until if ended is None else ended))
    if spans:
        return spans
    for operation in execution.operations:
        for attempt in operation.attempts:
            ended = between(start, attempt.ended_at)
            began = between(start, attempt.started_at)
            if ended is not None:
                spans.append((ended if began is None else began, ended))
    return spans


def _merged(busy: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted((round(start, DIGITS), round(end, DIGITS)) for start, end in busy):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, max(start, end)))
    return merged


def _stretches(busy: Sequence[tuple[float, float]], end: float) -> list[Stretch]:
    work = sum(stop - start for start, stop in busy)
    least = (
        work * IDLE_SHARE
        if work
        else _outlier([later - start for (start, _), (later, _) in pairwise([*busy, (end, end)])])
    )
    stretches: list[Stretch] = []
    at = 0.0
    for start, stop in [*busy, (end, end)]:
        gap = start - at
        if gap > least and gap > MIN_SPAN:
            _append(stretches, Stretch(at, start, is_folded=True))
        elif gap > 0:
            _append(stretches, Stretch(at, start, is_folded=False))
        if stop > start:
            _append(stretches, Stretch(start, stop, is_folded=False))
        at = max(at, stop)
    has_work = any(not stretch.is_folded for stretch in stretches)
    return stretches if has_work else [Stretch(0.0, end, is_folded=False)]


def _outlier(gaps: Sequence[float]) -> float:
    """Return the longest waiting that is drawn to scale, where nothing else takes time."""
    shorter = 0.0
    for gap in sorted(gaps):
        if shorter and gap > shorter * OUTLIER:
            return shorter
        shorter += gap
    return shorter


def _append(stretches: list[Stretch], stretch: Stretch) -> None:
    """Add a stretch; join it to the previous one when neither is folded."""
    last = stretches[-1] if stretches else None
    if last is not None and not last.is_folded and not stretch.is_folded:
        stretches[-1] = Stretch(last.start, stretch.end, is_folded=False)
    else:
        stretches.append(stretch)


def _laid_out(stretches: Sequence[Stretch], cells: int) -> list[Stretch]:
    """Assign columns: a few cells for each folded stretch, the rest by duration, with a minimum for each."""
    folded = sum(stretch.is_folded for stretch in stretches)
    fold_cells = next((width for most, width in FOLD_WIDTHS if folded <= most), 0)
    while fold_cells and fold_cells * folded > cells // 2:
        fold_cells = fold_cells // 2
    room = cells - fold_cells * folded
    open_ones = len(stretches) - folded
    least = min(3.0, room / open_ones / 2) if open_ones else 0.0
    work = sum(stretch.end - stretch.start for stretch in stretches if not stretch.is_folded) or MIN_SPAN
    scale = max(room - least * open_ones, 0.0) / work
    laid_out: list[Stretch] = []
    column = 0.0
    for stretch in stretches:
        width = float(fold_cells) if stretch.is_folded else least + (stretch.end - stretch.start) * scale
        laid_out.append(Stretch(stretch.start, stretch.end, stretch.is_folded, column, width))
        column += width
    return laid_out


def critical_path(operations: Sequence[RecordedOperation]) -> list[int]:
    """Return the rows of the calls that determined when the execution ended, in order of time.

    The search runs backwards from the end: the call that ended last, then the call that ended last before that one
    started, and so on. Contexts are excluded; the calls inside them are more precise.
    """
    ended = sorted(
        (
            (operation.ended_at, row)
            for row, operation in enumerate(operations)
            if operation.ended_at is not None
            and operation.started_at is not None
            and operation.type is not OperationType.CONTEXT
        ),
        reverse=True,
    )
    path: list[int] = []
    before = None
    for end, row in ended:
        if before is None or end <= before:
            path.append(row)
            before = operations[row].started_at
    return path[::-1]


def longest(path: Sequence[int], operations: Sequence[RecordedOperation], count: int) -> list[int]:
    """Return the longest calls on a path that ran code, in order of time."""
    work = [row for row in path if operations[row].type in (OperationType.STEP, OperationType.CHAINED_INVOKE)]
    by_length = sorted(work, key=lambda row: -(between(operations[row].started_at, operations[row].ended_at) or 0.0))
    return sorted(by_length[:count], key=work.index)
