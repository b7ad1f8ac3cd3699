"""The state of one debugging session: an execution, where the reader is in it, and how it is compared.

All views share one session, so a call selected in one view is selected in all of them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from durable_debugger.model import facts
from durable_debugger.model.differences import Differences, runtime_differences, sites_today
from durable_debugger.model.facts import State, state_of
from durable_debugger.model.headline import Headline, headline
from durable_debugger.model.line_playback import LinePlayback
from durable_debugger.model.line_settings import LineSettings
from durable_debugger.model.marks import Mark, Marks
from durable_debugger.model.moments import CALLS, Moment, MomentKind, read_moments
from durable_debugger.model.outline import ROOT, Outline
from durable_debugger.model.playback import Playback, ended_then, execution_then, operation_then
from durable_debugger.model.search import Query, matching_rows, text_of
from durable_debugger.model.secrets import Secrets, ShownOperations
from durable_execution.call_site import CallSite
from durable_execution.explain.user_code import own_files
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.protocol import OperationType
from durable_execution.replay.lines.line_recording import LineRecording

HIDDEN = Secrets()
FAILED_INVOCATION = frozenset({State.FAILED, State.TIMED_OUT, State.RETRYING})
OPEN = frozenset({State.WAITING, State.RETRYING})
BATCH_SUBTYPES = frozenset({"Map", "Parallel"})


class Session:
    """One execution under inspection.

    Args:
        execution: The recorded execution.
        as_of: The time up to which running durations are counted: now for a live source, the last event for a file.
        origin: Description of where it was read from.
        title: Title for an execution without a name.
        differences: Differences between the recording and a replay or a second execution.
        secrets: Redacts secrets; None shows everything.

    Attributes:
        recorded: The operations as recorded, for everything but their values.
        operations: The operations as they may be shown.
        cursor: Selected row.
        is_travelling: Whether the tree shows the moment of `playback` instead of the end.
        line_settings: Breakpoints on calls and lines, and watched expressions.
        has_call_sites: Whether call sites are recorded.
        hits: Rows that match the search, in order; None when there is no search.
    """

    def __init__(
        self,
        execution: RecordedExecution,
        *,
        as_of: datetime | None,
        origin: str = "",
        title: str = "",
        differences: Differences | None = None,
        secrets: Secrets | None = HIDDEN,
    ) -> None:
        self.secrets = secrets
        self.execution = execution if secrets is None else secrets.shown(execution)
        self.as_of = as_of
        self.origin = origin
        self._title = title
        self.recorded = execution.operations
        self.operations = ShownOperations(self.recorded, secrets)
        self.rows = {operation.id: row for row, operation in enumerate(self.recorded)}
        self.outline = Outline([operation.depth for operation in self.recorded])
        self.differences = differences or runtime_differences(self.execution, self.rows)
        self.marks = Marks.of_differences(self.differences) if self.differences else Marks()
        self.cursor = ROOT
        self.is_travelling = False
        self.line_settings = LineSettings()
        self.hits: list[int] | None = None
        self.query: Query | None = None
        self.has_call_sites = any(operation.call_site is not None for operation in self.recorded)
        self.raw = execution
        self.lines: LinePlayback | None = None
        self._sites = sites_today(self.differences)
        self._playback: Playback | None = None
        self._waiting_for = _waiting_for(execution)
        self._texts: list[str] = []
        self._tallies: dict[int, facts.Tally] = {}
        self._failed: list[int] | None = None
        self._has_locals: bool | None = None
        self._headline: tuple[datetime | None, Headline] | None = None
        self.outline.fold_rows([row for row in self.outline.crowded() if not self._hides_root(row)])

    @cached_property
    def own_files(self) -> frozenset[str]:
        """The user's files, as far as replay traces name them."""
        return own_files(self.execution)

    def grown(self, execution: RecordedExecution, as_of: datetime | None) -> "Session":
        """Return a session on a newer state of the same execution, with cursor, folds and search kept."""
        session = Session(execution, as_of=as_of, origin=self.origin, title=self._title, secrets=self.secrets)
        session.line_settings = self.line_settings
        known = self.rows
        folded = {self.recorded[row].id for row in self.outline.folded_rows()}
        refold = [
            row
            for row in range(len(session.operations))
            if session.recorded[row].id in folded
            or (session.recorded[row].id not in known and session.outline.is_folded(row))
        ]
        session.outline.unfold_all()
        session.outline.fold_rows(refold)
        if self.query is not None:
            session.search(self.query)
        if self.cursor != ROOT:
            session.cursor = session.rows.get(self.operations[self.cursor].id, ROOT)
        if self.is_travelling and self._playback is not None:
            session.playback.seek(self._playback.position)
            session.is_travelling = True
        return session

    def compared(self, execution: RecordedExecution, differences: Differences) -> "Session":
        """Return a session on the same execution, compared with a replay."""
        session = Session(
            execution,
            as_of=self.as_of,
            origin=self.origin,
            title=self._title,
            differences=differences,
            secrets=self.secrets,
        )
        session.line_settings = self.line_settings
        return session

    @property
    def breakpoints(self) -> set[str]:
        """Names of the calls to stop at."""
        return self.line_settings.calls

    def latest(self) -> int:
        """The row that changed last, which following selects."""
        return max(
            range(len(self.operations)),
            key=lambda row: (self.recorded[row].events[-1:] or (0,))[-1],
            default=ROOT,
        )

    @property
    def headline(self) -> Headline:
        """How the execution stands, in one sentence, and the row that explains it."""
        if self._headline is None or self._headline[0] != self.as_of:
            self._headline = self.as_of, headline(self)
        return self._headline[1]

    def select_answer(self) -> None:
        """Select the row that explains how the execution stands."""
        self.select(self.headline.row)

    @property
    def playback(self) -> Playback:
        """The recording as moments, built on first use."""
        if self._playback is None:
            tasks = [operation.details.get("task_scope", ()) for operation in self.recorded]
            self._playback = Playback(read_moments(self.execution, self.rows, self._diverged()), self.outline, tasks)
        return self._playback

    def _diverged(self) -> tuple[int, int] | None:
        """The invocation that met a difference, and the row of the recorded call there."""
        number = self.differences.invocation if self.differences is not None else None
        return (number, self.marks.roots[0]) if number is not None and self.marks.roots else None

    @property
    def moment(self) -> Moment | None:
        """The moment shown; None when the end of the recording is shown."""
        return self.playback.current if self.is_travelling else None

    @property
    def has_locals(self) -> bool:
        """Whether variables are recorded at calls, or while stepping through lines."""
        if self._has_locals is None:
            traces = self.execution.traces
            self._has_locals = any(entry.locals for trace in traces for entry in trace.entries)
        return self._has_locals

    @property
    def title(self) -> str:
        """The execution's name, or a substitute."""
        return title_of(self.execution, self._title)

    @property
    def handler(self) -> str:
        """Name of the root context."""
        execution = self.execution
        return (execution.handler or "").rpartition(":")[2] or execution.function_name or "execution"

    @property
    def status(self) -> State:
        """State of the execution."""
        state = state_of(self.execution.status)
        return State.WAITING if state is State.RUNNING and self._waiting_for is not None else state

    def event(self, index: int) -> Any:
        """A history event with secrets redacted."""
        event = self.execution.events[index]
        return event if self.secrets is None else self.secrets.event(event)

    def operation(self, row: int) -> RecordedOperation | None:
        """The operation of a row; None for the execution."""
        return None if row == ROOT else self.operations[row]

    def site(self, row: int) -> CallSite | None:
        """Where the code makes a call: in today's code where a replay saw it there, else as recorded."""
        if self.lines is not None:
            at = self.lines.recording.operation(self.recorded[row].id)
            if at is not None:
                event = self.lines.recording.events[at]
                frame = self.lines.recording.frames[event.frame]
                return CallSite(frame.file, event.line, frame.function)
        return self._sites.get(row) or self.recorded[row].call_site

    def site_today(self, row: int, moved: Mapping[int, int] | None) -> CallSite | None:
        """Where a file as it is on disk makes a call; None where that is not known.

        Args:
            row: Row of the call.
            moved: Today's line for each recorded line of the file; None if it was not edited since the recording.
        """
        found, recorded = self.site(row), self.recorded[row].call_site
        if moved is None or found is None or found != recorded or row in self._sites:
            return found
        return found._replace(line=moved[found.line]) if found.line in moved else None

    def line_site(self) -> CallSite | None:
        """The line of the user's code that runs next; None where stepping goes from call to call."""
        if self.lines is None or not self.is_travelling or not len(self.lines):
            return None
        return CallSite(self.lines.frame.file, self.lines.event.line, self.lines.frame.function)

    def seek_line(self, position: int | None) -> bool:
        """Travel to a line, the selected call following; None does nothing.

        Returns:
            Whether the position changed to that line.
        """
        if position is None or self.lines is None:
            return False
        self.lines.position = position
        row = self.lines.row
        at = self.playback.start_of(1) if row is None else self.playback.first_call_of(row)
        if at is not None:
            self._travel(at)
        self.is_travelling = True
        return True

    def use_lines(self, recording: LineRecording) -> None:
        """Step through the lines of a replay from now on."""
        roots = [self.differences.aligned[index] for index in self.differences.roots] if self.differences else []
        divergent = [side.side.id for each in roots for side in (each.recorded, each.replayed) if side is not None]
        self.lines = LinePlayback(
            recording,
            self.rows,
            divergent=frozenset(each for each in divergent if each),
            settings=self.line_settings,
            names={each.id: facts.label(each) for each in self.recorded},
        )
        self.line_settings.forget_values()
        if self.cursor != ROOT:
            at = self.lines.call_of(self.recorded[self.cursor].id)
            self.lines.position = self.lines.position if at is None else at

    def shown(self, row: int) -> RecordedOperation:
        """The operation of a row as it was at the moment shown: nothing from the future."""
        operation = self.operations[row]
        if not self.is_travelling:
            return operation
        state = self.playback.state(row)
        moment = self.playback.current
        if state is facts.state(operation) and operation.status.is_terminal:
            return ended_then(operation, self.playback.invocation)
        at = moment.at if moment is not None else None
        return operation_then(operation, state, at, self.playback.invocation)

    def shown_execution(self) -> RecordedExecution:
        """The execution as it was at the moment shown."""
        moment = self.moment
        if not self.is_travelling or (moment is not None and moment.kind is MomentKind.EXECUTION_ENDED):
            return self.execution
        if moment is not None and moment.kind is MomentKind.INVOCATION_ENDED and self._is_last(moment):
            return self.execution
        return execution_then(self.execution, self.playback.invocation)

    def elapsed(self) -> float | None:
        """Seconds from the start of the execution to the moment shown, else to its end or to now."""
        execution, moment = self.execution, self.moment
        end = moment.at if moment is not None else execution.ended_at or self.as_of
        return (end - execution.started_at).total_seconds() if end and execution.started_at else None

    def _is_last(self, moment: Moment) -> bool:
        return self.execution.ended_at is not None and moment.invocation == len(self.execution.invocations)

    def state(self, row: int) -> State:
        """State of a row at the moment shown."""
        if row == ROOT:
            return self._root_state()
        return self.playback.state(row) if self.is_travelling else facts.state(self.operations[row])

    def is_reached(self, row: int) -> bool:
        """Whether the code has reached the call at the moment shown."""
        if not self.is_travelling or row == ROOT:
            return True
        moment = self.playback.current
        if moment is None or moment.kind is MomentKind.EXECUTION_ENDED:
            return moment is not None
        return self.playback.is_called(row)

    def mark(self, row: int) -> Mark | None:
        """The divergence of a row."""
        return self.marks.by_row.get(row)

    def is_root_difference(self, row: int) -> bool:
        """Whether a row is a root difference."""
        mark = self.marks.by_row.get(row)
        return mark is not None and mark.is_root

    def tally(self, row: int) -> facts.Tally | None:
        """Counts of the children of a map or parallel; None for other operations."""
        operation = self.operations[row]
        if operation.subtype not in BATCH_SUBTYPES or not self.outline.has_children(row):
            return None
        if row not in self._tallies:
            states = [facts.state(self.recorded[child]) for child in self.outline.children(row)]
            failed = sum(state.is_failure for state in states)
            is_map = operation.subtype == "Map"
            self._tallies[row] = facts.Tally(len(states), states.count(State.SUCCEEDED), failed, is_map)
        return self._tallies[row]

    def waiting_for(self) -> RecordedOperation | None:
        """What a running execution waits for: the last open call that ends outside the function."""
        row = self.headline.row
        is_said = self._waiting_for is not None and row != ROOT and facts.state(self.recorded[row]) in OPEN
        return self.recorded[row] if is_said else self._waiting_for

    def select(self, row: int) -> None:
        """Select a row, unfolding the contexts that hide it."""
        self.cursor = max(ROOT, min(row, len(self.operations) - 1))
        self.outline.reveal(self.cursor)

    def move(self, rows: int) -> None:
        """Move the cursor by visible rows."""
        visible = self.outline.visible
        index = self.outline.index_of(self.cursor) + rows
        self.cursor = visible[max(0, min(index, len(visible) - 1))]

    def seek(self, position: int | None) -> bool:
        """Travel to a moment and select its row; None does nothing.

        Returns:
            Whether the position changed to that moment.
        """
        if position is None:
            return False
        self._travel(position)
        if self.lines is not None and self.cursor != ROOT:
            at = self.lines.call_of(self.recorded[self.cursor].id)
            self.lines.position = self.lines.position if at is None else at
        elif self.lines is not None and self.moment is not None and self.moment.kind is MomentKind.INVOCATION_STARTED:
            self.lines.position = self.lines.first() or 0
        return True

    def _travel(self, position: int) -> None:
        self.playback.seek(position)
        self.is_travelling = True
        if self.playback.current is not None:
            self.select(self.playback.current.row)

    def travel_to_cursor(self) -> bool:
        """Travel to the first call of the selected operation; to the first call of all when none is selected.

        Returns:
            Whether the recording has moments to travel to.
        """
        playback = self.playback
        found = None if self.cursor == ROOT else playback.first_call_of(self.cursor)
        return self.seek(next(iter(playback.calls), 0) if found is None else found) if len(playback) else False

    def leave_travel(self) -> None:
        """Show the end again."""
        self.is_travelling = False

    def next_mark(self, direction: int) -> int | None:
        """The next (1) or previous (-1) row that diverges at the root."""
        return _neighbour(self.marks.roots, self.cursor, direction)

    def next_failure(self, direction: int = 1) -> int | None:
        """The next row that failed; wraps around."""
        failed = self._failed_rows()
        found = _neighbour(failed, self.cursor, direction)
        return found if found is not None else (failed[0 if direction > 0 else -1] if failed else None)

    def _failed_rows(self) -> list[int]:
        """Rows that failed; the execution's own row when code outside any step raised."""
        if self._failed is None:
            found = [row for row, each in enumerate(self.recorded) if facts.state(each).is_failure]
            is_outside = self.status.is_failure and self.execution.error is not None and self.headline.row == ROOT
            self._failed = [ROOT, *found] if is_outside else found
        return self._failed

    def search(self, query: Query | None) -> None:
        """Search the rows; None ends the search."""
        self.query = query
        if query is None or query.is_empty:
            self.hits = None
            return
        self._texts = self._texts or [text_of(operation) for operation in self.operations]
        self.hits = matching_rows(query, self.operations, self.marks.by_row, self._texts)

    def next_hit(self, direction: int) -> int | None:
        """The next or previous hit; wraps around."""
        if not self.hits:
            return None
        found = _neighbour(self.hits, self.cursor, direction)
        return found if found is not None else self.hits[0 if direction > 0 else -1]

    def toggle_breakpoint(self, row: int) -> bool:
        """Toggle a breakpoint on calls with this name.

        Returns:
            Whether the breakpoint is set now.
        """
        name = facts.label(self.operations[row])
        self.line_settings.calls ^= {name}
        return name in self.breakpoints

    def is_stop(self, moment: Moment) -> bool:
        """Whether `c` stops at a moment: a divergence, a breakpoint or a failure."""
        if moment.row == ROOT:  # an exception outside any step
            return moment.kind is MomentKind.INVOCATION_ENDED and moment.state in FAILED_INVOCATION
        operation = self.operations[moment.row]
        if moment.kind not in CALLS:
            return moment.state.is_failure and moment.kind in (MomentKind.ANSWERED, MomentKind.SETTLED)
        mark = self.marks.by_row.get(moment.row)
        if mark is not None and mark.is_root and moment.invocation == mark.invocation_of(operation):
            return True
        return facts.label(operation) in self.breakpoints

    def _root_state(self) -> State:
        if not self.is_travelling:
            return self.status
        moment = self.playback.current
        if moment is None:
            return State.NOT_REACHED
        is_boundary = moment.kind in (MomentKind.EXECUTION_ENDED, MomentKind.INVOCATION_ENDED)
        if is_boundary:
            return moment.state
        return State.WAITING if moment.kind is MomentKind.SETTLED else State.RUNNING

    def _hides_root(self, row: int) -> bool:
        return any(row < root < self.outline.ends[row] for root in self.marks.roots)


def title_of(execution: RecordedExecution, fallback: str = "") -> str:
    """Title of an execution: its name, unless the name is only its id."""
    if execution.function_name and execution.id and execution.name in (None, execution.id):
        return f"{execution.function_name} {execution.id[:8]}"
    return execution.name or fallback or execution.id or execution.function_name or "execution"


def _waiting_for(execution: RecordedExecution) -> RecordedOperation | None:
    if state_of(execution.status) is not State.RUNNING:
        return None
    found: RecordedOperation | None = None
    for operation in execution.operations:
        state = facts.state(operation)
        if state is State.RUNNING and operation.type is not OperationType.CONTEXT:
            return None
        if state in OPEN:
            found = operation
    return found


def _neighbour(rows: list[int], row: int, direction: int) -> int | None:
    """The nearest of sorted rows after (1) or before (-1) a row."""
    at = bisect_right(rows, row) if direction > 0 else bisect_left(rows, row) - 1
    return rows[at] if 0 <= at < len(rows) else None
