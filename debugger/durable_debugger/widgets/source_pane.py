"""The panes of source and local variables."""

from collections.abc import Sequence

from textual import work
from textual.events import Resize

from durable_debugger.model.session import HIDDEN, Session
from durable_debugger.sources.code import TAB, SourceText, SourceTexts
from durable_debugger.text import glyphs
from durable_debugger.text.cells import safe
from durable_debugger.text.segments import Line, Part
from durable_debugger.views.source import (
    LinePair,
    Listing,
    PartingLines,
    calls_by_line,
    current_site,
    edited_lines,
    highlighted,
    paired_lines,
    parting_lines,
    recorded_line,
    source_line,
    source_title,
)
from durable_debugger.views.variables import Path, VariableRow, locals_rows
from durable_debugger.widgets.lines import LineView, StaticLines
from durable_execution.call_site import CallSite
from durable_execution.trace.sources import source_texts

SIDE_BY_SIDE = 120
"""Cells from which the recorded source stands beside today's: 60 for each."""

MARGIN = 2
"""Number of lines kept visible around the current line."""


class SourcePane(LineView):
    """A source file with marks and results. It follows the playback or the selected call."""

    TITLE = "Source"

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
        self.listing: Listing | None = None
        self.site: CallSite | None = None
        self.chosen: int | None = None
        self._known: tuple[int, int, str, int] | None = None
        self._text: SourceText | None = None
        self._remark = ""
        self._calls: dict[int, list[int]] = {}
        self._partings = PartingLines({}, {})
        self._edited: dict[int, str] = {}
        self._recorded: Sequence[str] = ()
        self._pairs: list[LinePair] = []
        self._colors: dict[SourceText, list[Line]] = {}

    def update(self, session: Session, new_site: CallSite | None = None) -> None:
        """Show the code of the current call.

        Args:
            session: The session.
            new_site: The place to show instead: of a call that only today's code makes.
        """
        self.session = session
        site = new_site or current_site(session)
        if site != self.site:
            self.chosen = None
        self.site = site
        if self.site is None:
            self._show_missing(
                "no call sites are recorded: turn on replay traces (DURABLE_REPLAY_TRACE) to see code here"
            )
            return
        text = self.texts.shown(self.site.file, session.secrets)
        if text is None:
            self._show_missing(
                f"{self.site.file} was not found on this computer: start durable-debug in the project's directory"
            )
            return
        if self.listing is None or self.listing.file != self.site.file or text is not self._text:
            self._open(self.site.file, text)
        known = id(session), id(session.lines), self.site.file, id(text)
        if known != self._known:  # found once for each file: a key must not cost what a file costs
            self._known = known
            self._remark = self._note(self.site.file)
            self._compare(session, self.site.file, text)
            moved = self._moved()
            self._calls = calls_by_line(session, self.site.file, moved)
            self._partings = parting_lines(session, self.site.file, moved)
        self.site = new_site or self._site_today(self.site)
        self.set_title(source_title(self.site, self._remark))
        self.show(len(self._pairs) if self.is_side_by_side else len(text.lines))

    @property
    def is_side_by_side(self) -> bool:
        """Whether the recorded source is shown beside today's: where they differ, and there is room for both."""
        return bool(self._pairs) and self.size.width >= SIDE_BY_SIDE

    def on_resize(self, event: Resize) -> None:
        """Show one column or two."""
        if self.site is not None and self._pairs:
            self.update(self.session, self.site)

    def cursor_index(self) -> int | None:
        """Return the row of the line the user chose, else of the line of the current call."""
        at = self._line_index()
        if at is None or not self.is_side_by_side:
            return at
        return next((row for row, pair in enumerate(self._pairs) if pair.now == at), None)

    def _line_index(self) -> int | None:
        if self.chosen is not None:
            return self.chosen
        return self.site.line - 1 if self.site is not None and self.listing is not None else None

    def _index_of_row(self, row: int) -> int | None:
        """Return the line of today's code on a row; None where only the recorded code has one."""
        if not self.is_side_by_side:
            return row
        return self._pairs[row].now if 0 <= row < len(self._pairs) else None

    def line(self, index: int, cells: int) -> Line:
        """Draw a line of code."""
        if self.listing is None:
            return []
        if self.site is None:
            return self.listing.lines[index]
        if not self.is_side_by_side:
            return self._today(index, cells, self._edited)
        was, now, is_changed = self._pairs[index]
        room = (cells - 1) // 2
        parting = self._partings.recorded.get(was + 1) if was is not None else None
        left = recorded_line(self._recorded, was, room, is_changed=is_changed, parting=parting)
        right = self._today(now, cells - room - 1, {}, is_changed=is_changed) if now is not None else []
        return [*left, Part(glyphs.PIPE, "dim"), *right]

    def _today(self, index: int, cells: int, edited: dict[int, str], *, is_changed: bool = False) -> Line:
        if self.listing is None or self.site is None:
            return []
        parting = self._partings.today.get(index + 1)
        if self.is_side_by_side and parting is not None and parting[1] == "recorded":
            parting = None  # it is beside the recorded line
        return source_line(
            self.session,
            self.listing,
            self._calls,
            index,
            cells,
            current=self.site.line,
            chosen=self.chosen + 1 if self.chosen is not None else None,
            parting=parting,
            edited=edited,
            is_changed=is_changed,
        )

    def move(self, rows: int) -> None:
        """Choose a different line, to run to or to stop at."""
        at = self._line_index()
        if at is not None and self._text is not None:
            self.chosen = max(0, min(at + rows, len(self._text.lines) - 1))

    def choose(self, row: int) -> None:
        """Choose the line of today's code on a row."""
        at = self._index_of_row(row)
        self.chosen = at if at is not None else self.chosen

    def line_choice(self) -> tuple[str, int] | None:
        """Return file and number of the chosen or current line."""
        at = self._line_index()
        return (self.site.file, at + 1) if self.site is not None and at is not None else None

    def keep_visible(self, index: int) -> None:
        """Keep the current line and some lines around it visible; centre it when it was not visible."""
        height = self.scrollable_content_region.height
        top = self.scroll_offset.y
        if height > 0 and not top + MARGIN <= index < top + height - MARGIN:
            self.scroll_to(y=max(index - height // 2, 0), animate=False, force=True)

    def calls_at(self, index: int) -> list[int]:
        """Return the rows of the calls on a line."""
        at = self._index_of_row(index)
        return self._calls.get(at + 1, []) if at is not None else []

    def _open(self, file: str, text: SourceText) -> None:
        """Show a file as it is on disk now: it may have been edited since it was last shown."""
        self._text = text
        colored = self._colors.get(text)
        self.listing = Listing(file, colored or [[Part(safe(line))] for line in text.lines], file)
        if colored is None:
            self._color(text)

    @work(thread=True, exclusive=True, group="color", exit_on_error=False)
    def _color(self, text: SourceText) -> None:
        found = highlighted(text.lines)
        self.app.call_from_thread(self._colored, text, found)

    def _colored(self, text: SourceText, found: list[Line]) -> None:
        found += [[] for _ in range(len(text.lines) - len(found))]
        self._colors = {text: found, **dict(list(self._colors.items())[:7])}
        if self.listing is not None and text is self._text:
            self.listing = Listing(self.listing.file, found, self.listing.file)
            self.show(self.count)

    def _compare(self, session: Session, file: str, text: SourceText) -> None:
        """Compare with the source that the replay trace keeps."""
        lines = next((trace.sources for trace in session.execution.traces if trace.sources), ())
        source = source_texts(lines).get(file)
        recorded = source.text if source is not None else None
        today = (self.texts.shown(file, HIDDEN) or text).lines  # as recorded: without secrets
        self._edited = edited_lines(recorded, today) if recorded is not None else {}
        self._recorded = [line.expandtabs(TAB) for line in recorded.splitlines()] if recorded is not None else []
        self._pairs = paired_lines(self._recorded, today) if self._edited else []

    def _moved(self) -> dict[int, int] | None:
        """Today's line for each recorded line; empty if the recorded source is not known, None if the file was not edited."""
        if not self._pairs:
            return {} if self._remark else None
        return {pair.was + 1: pair.now + 1 for pair in self._pairs if pair.was is not None and pair.now is not None}

    def _site_today(self, site: CallSite) -> CallSite:
        """Where the selected call is today, or what is called in its place, if only its recorded line is known."""
        row = self.session.cursor
        if row < 0 or site != self.session.recorded[row].call_site:
            return site
        found = self.session.site_today(row, self._moved())
        mark = self.session.mark(row)
        replayed = mark.divergence.replayed if mark is not None and mark.divergence is not None else None
        return found or (replayed.call_site if replayed is not None else None) or site

    def _show_missing(self, why: str) -> None:
        self.listing = Listing("", [[Part(f" {safe(why)}", "dim")]], "")
        self.site = None
        self._known = self._text = None
        self._calls, self._pairs = {}, []
        self.set_title("Source")
        self.show(1)

    def _note(self, file: str) -> str:
        """Return a remark when the handler changed since the recording."""
        text = self.texts.get(file)
        for trace in self.session.execution.traces:
            if trace.source_digest and trace.handler and text is not None and trace.source_file == file:
                digest = text.digest_of(trace.handler.rpartition(":")[2])
                return "changed since the recording" if digest not in (None, trace.source_digest) else ""
        return ""


class LocalsPane(StaticLines):
    """Local variables at the current call. What does not fit on its line is expanded in place."""

    TITLE = "Locals"

    def __init__(self, session: Session, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.session = session
        self.index = 0
        self._opened: set[Path] = set()
        self._rows_shown: list[VariableRow] = []

    def update(self, session: Session) -> None:
        """Show the variables of the current call."""
        self.session = session
        self.set_title("Locals · space expands" if self.has_focus else "Locals")
        self.show_made(self._lines_for)

    def _lines_for(self, cells: int) -> list[Line]:
        has_selection = self.has_focus and self.index < len(self._rows_shown)
        before = self._rows_shown[self.index].path if has_selection else ()
        rows = self._rows_shown = locals_rows(self.session, cells, self._opened)
        same = next((at for at, row in enumerate(rows) if row.path and row.path == before), self.index)
        self.index = max(0, min(same, len(rows) - 1)) if self.has_focus else 0
        return [row.line for row in rows]

    def cursor_index(self) -> int | None:
        """The selected variable, while the pane has the focus."""
        return self.index if self.has_focus and self._rows_shown else None

    def move(self, rows: int) -> None:
        """Select a different variable."""
        self.index = max(0, min(self.index + rows, len(self._rows_shown) - 1))
        self.update(self.session)

    def toggle(self, index: int | None = None) -> bool:
        """Expand or fold a variable, or a member of one.

        Args:
            index: Its line; None for the selected one.

        Returns:
            Whether there was something to expand or fold.
        """
        self.index = self.index if index is None else index
        row = self._rows_shown[self.index] if 0 <= self.index < len(self._rows_shown) else None
        if row is not None and row.can_expand:
            self._opened ^= {row.path}
        self.update(self.session)
        return row is not None and row.can_expand

    def on_focus(self) -> None:
        """Show which variable is selected."""
        self.update(self.session)

    def on_blur(self) -> None:
        """Show no selection."""
        self.update(self.session)
