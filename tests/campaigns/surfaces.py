"""Everything that reads a recording: the commands, replays in this process, and all views of the debugger's model."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from durable_debugger.cli import main as durable_debug
from durable_debugger.model.differences import Differences, differences_of
from durable_debugger.model.outline import ROOT
from durable_debugger.model.search import parse
from durable_debugger.model.secrets import Secrets
from durable_debugger.model.session import Session
from durable_debugger.sources.files import load_file
from durable_debugger.sources.found import Loaded
from durable_debugger.views.chrome import headline_lines, inspector_title, status_line
from durable_debugger.views.diff import DiffMode, diff_header, diff_line, diff_rows
from durable_debugger.views.events import event_line, event_lines
from durable_debugger.views.inspector import inspector_lines
from durable_debugger.views.outline import outline_line
from durable_debugger.views.page import html_page, replay_page
from durable_debugger.views.source import current_site, stack_lines
from durable_debugger.views.step import moment_lines, track_lines
from durable_debugger.views.timeline import Chart, axis_line, timeline_legend, timeline_line
from durable_debugger.views.value import value_lines
from durable_debugger.views.variables import locals_lines
from durable_execution.replay import FORMATS, Source, check, render
from tests.campaigns.workflows import order

SHOW = (("--json",), (), ("--timeline",), ("--events",), ("--trace",))
EXPLAIN = ((), ("--json",))
EXPORT = ("otlp", "json", "html", "perfetto", "bundle")
WIDTHS = (20, 80, 200)
QUERIES = ("a", "kind:step", "status:failed", "took>1s", "inv:1", "error:x", "in:x", "div:root")
MOST = 60
"""Rows, moments and events looked at in each view."""


class Trial(NamedTuple):
    """One use of a mutant.

    Attributes:
        name: What is done, for the report.
        run: Does it; returns an exit code.
    """

    name: str
    run: Callable[[], int]


def command(*words: str) -> Trial:
    """A run of `durable-debug`."""

    def run() -> int:
        try:
            return durable_debug(words)
        except SystemExit as exit_:
            return int(exit_.code or 0)

    return Trial(f"durable-debug {' '.join(words)}", run)


def uses_of_file(path: Path, chance: random.Random) -> list[Trial]:
    """Look at a file in every way: each command in one of its forms, a replay, and the debugger."""
    name = str(path)
    return [
        command("show", name, *chance.choice(SHOW)),
        command("explain", name, *chance.choice(EXPLAIN)),
        command("export", name, "--to", chance.choice(EXPORT), "-o", str(path.with_suffix(".out"))),
        Trial(f"check {name}", partial(_replayed, path, chance.choice(sorted(FORMATS)))),
        Trial(f"open {name}", partial(_opened, path, chance.choice(WIDTHS))),
    ]


def _replayed(path: Path, form: str) -> int:
    """Replay the file in this process, and render the report."""
    loaded: list[Loaded] = []

    def load() -> Any:
        loaded.append(load_file(str(path)))
        return loaded[-1].execution

    (report,) = check([Source(str(path), load)], order, seconds=10, cause=False)
    render([report], form)
    if loaded:
        "".join(replay_page([report], Secrets()))
        look(loaded[-1], 80, differences_of(report, loaded[-1].execution))
    return 0


def _opened(path: Path, width: int) -> int:
    from durable_execution.errors import DurableError

    try:
        loaded = load_file(str(path))
    except DurableError:
        return 3
    look(loaded, width)
    return 0


def look(loaded: Loaded, width: int, differences: Differences | None = None) -> None:
    """Draw every view of the debugger, at every row and moment."""
    session = Session(loaded.execution, as_of=loaded.as_of, title=loaded.title, differences=differences)
    for _ in drawn(session, width):
        pass
    for text in QUERIES:
        session.search(parse(text))
        session.next_hit(1)
    session.next_failure()
    session.outline.unfold_all()
    for _ in html_page(session):
        pass
    session.grown(loaded.execution, loaded.as_of)


def drawn(session: Session, width: int) -> Iterator[Any]:
    """Draw what the debugger's screen can show: lines of parts, or lists of them."""
    chart = Chart()
    yield from (status_line(session, width), headline_lines(session, width), axis_line(session, chart, width))
    session.select_answer()
    for row in (ROOT, *range(min(len(session.operations), MOST))):
        session.select(row)
        yield from (inspector_title(session), inspector_lines(session, width), value_lines(session))
        yield outline_line(session, row, width, is_cursor=True)
        yield timeline_line(session, chart, row, width)
        yield from (timeline_legend(session, chart, width), current_site(session), stack_lines(session, width))
    for index in range(min(len(session.execution.events), MOST)):
        yield event_line(session, index, width), event_lines(session, index)
    if session.differences is not None:
        yield diff_header(session.differences, width)
        for mode in (DiffMode(is_by_position=True), DiffMode()):
            for row in diff_rows(session.differences, mode)[:MOST]:
                yield diff_line(session, mode, row, width)
    for position in range(min(len(session.playback), MOST)):
        session.seek(position)
        yield moment_lines(session, width), track_lines(session, width), locals_lines(session, width)
        yield inspector_lines(session, width), outline_line(session, ROOT, width)
    session.leave_travel()
