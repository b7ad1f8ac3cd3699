"""The panes of a session. Each defines its lines and its selection."""

from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.sources.code import SourceTexts
from durable_debugger.text.segments import Line
from durable_debugger.views.answer import answer_lines
from durable_debugger.views.chrome import inspector_title
from durable_debugger.views.diff import why_lines
from durable_debugger.views.events import event_line, event_lines, first_event_of, row_of_event
from durable_debugger.views.inspector import inspector_lines
from durable_debugger.views.outline import fold_marker_column, outline_line
from durable_debugger.views.source import stack_lines
from durable_debugger.views.step import moment_lines, track_lines
from durable_debugger.views.timeline import Chart, axis_line, timeline_legend, timeline_line
from durable_debugger.widgets.lines import LineView, StaticLines

FACTS = 11
"""Facts of a call that a stacked pane makes room for."""


class OutlinePane(LineView):
    """The operation tree."""

    TITLE = "Operations"

    def __init__(self, session: Session, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.session = session

    def update(self, session: Session) -> None:
        """Show a session."""
        self.session = session
        self.show(len(session.outline.visible))

    def cursor_index(self) -> int | None:
        """The selected row."""
        return self.session.outline.index_of(self.session.cursor)

    def pick(self, index: int, column: int, *, is_double: bool) -> None:
        """Select the row at a line; toggle its fold on a click on its marker or a double click."""
        session = self.session
        session.cursor = session.outline.visible[index]
        if is_double or abs(column - fold_marker_column(session, session.cursor)) <= 1:
            session.outline.toggle(session.cursor)

    def move(self, rows: int) -> None:
        """Move the session's cursor."""
        self.session.move(rows)

    def line(self, index: int, cells: int) -> Line:
        """Draw a row of the tree."""
        row = self.session.outline.visible[index]
        return outline_line(self.session, row, cells, is_cursor=row == self.session.cursor)


class TimelinePane(LineView):
    """A bar per row of the tree, below an axis."""

    HEADER = 1

    def __init__(self, session: Session, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.session = session
        self.chart = Chart()

    def update(self, session: Session, *, has_labels: bool) -> None:
        """Show a session; without names beside the tree."""
        self.session = session
        self.chart.has_labels = has_labels
        self.show(len(session.outline.visible))

    def cursor_index(self) -> int | None:
        """The selected row."""
        return self.session.outline.index_of(self.session.cursor)

    def move(self, rows: int) -> None:
        """Move the session's cursor."""
        self.session.move(rows)

    def header_line(self, number: int, cells: int) -> Line:
        """Draw the axis."""
        return axis_line(self.session, self.chart, cells)

    def line(self, index: int, cells: int) -> Line:
        """Draw the bar of a row."""
        row = self.session.outline.visible[index]
        return timeline_line(self.session, self.chart, row, cells, is_cursor=row == self.session.cursor)

    def zoom(self, factor: float) -> None:
        """Widen or narrow the axis around the selected call."""
        self.chart.zoom_by(self.session, factor)

    def pan(self, direction: int) -> None:
        """Move along the axis by a fourth of the pane."""
        self.chart.pan += direction * max(self.size.width // 4, 4)


class LegendPane(StaticLines):
    """The legend of the timeline."""

    TITLE = "Time"

    def update(self, session: Session, chart: Chart) -> None:
        """Show a session."""
        self.set_title(inspector_title(session))
        self.show_made(lambda cells: timeline_legend(session, chart, cells))


class InspectorPane(StaticLines):
    """All facts about the selected call."""

    def __init__(
        self,
        session: Session,
        texts: SourceTexts,
        *,
        id: str | None = None,  # noqa: A002  # Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.session = session
        self.texts = texts
        self._shown: tuple[int, int] | None = None

    def needed(self, cells: int) -> int:
        """Return the number of lines of the answer: why it differs, failed or waits; else of the first facts."""
        mark = self.session.mark(self.session.cursor)
        if mark is not None and mark.is_root:
            return len(why_lines(mark.divergence, None, cells))
        answer = answer_lines(self.session, cells, self.texts)
        return len(answer) + 1 if answer else min(super().needed(cells), FACTS)

    def update(self, session: Session) -> None:
        """Show the selected call of a session."""
        self.session = session
        key = (session.cursor, id(session.execution))
        self.explains = session.cursor == session.headline.row or session.is_root_difference(session.cursor)
        self.set_title(inspector_title(session))
        rows = self.given_rows
        self.show_made(lambda cells: inspector_lines(session, cells, self.texts, rows=rows), is_new=key != self._shown)
        self._shown = key


class EventsPane(LineView):
    """The raw history."""

    TITLE = "Events"

    def __init__(self, session: Session, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.session = session
        self.index = 0

    def update(self, session: Session) -> None:
        """Show a session, at the first event of the selected call unless one of its events is already selected."""
        self.session = session
        events = session.execution.events
        if session.cursor != ROOT:
            identifier = session.operations[session.cursor].id
            if not events or events[min(self.index, len(events) - 1)].get("Id") != identifier:
                self.index = first_event_of(session, session.cursor) or 0
        self.index = min(self.index, max(len(events) - 1, 0))
        self.show(len(events))

    def cursor_index(self) -> int | None:
        """The selected event."""
        return self.index

    def move(self, rows: int) -> None:
        """Move the selection, and select the event's call."""
        self.index = max(0, min(self.index + rows, self.count - 1))
        row = row_of_event(self.session, self.index)
        self.session.select(ROOT if row is None else row)

    def line(self, index: int, cells: int) -> Line:
        """Draw an event."""
        return event_line(self.session, index, cells, is_cursor=index == self.index)


class EventPane(StaticLines):
    """One event in full."""

    def update(self, session: Session, index: int) -> None:
        """Show an event."""
        self.set_title(f"Event {index + 1}")
        self.show_lines(event_lines(session, index), is_new=True)


class MomentPane(StaticLines):
    """The current moment of the playback."""

    TITLE = "Moment"

    def update(self, session: Session) -> None:
        """Show the position of the playback."""
        is_lines = session.line_site() is not None
        self.set_title("Stack" if is_lines else "Moment")
        self.show_made(lambda cells: stack_lines(session, cells) if is_lines else moment_lines(session, cells))


class TrackPane(StaticLines):
    """All calls of all invocations as a row of glyphs; a click travels to the call."""

    TITLE = "Track"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.columns: dict[int, int] = {}

    def update(self, session: Session) -> None:
        """Show the position of the playback."""

        def make(cells: int) -> list[Line]:
            lines, self.columns = track_lines(session, cells)
            return lines

        self.show_made(make)
