"""An execution as one self-contained HTML page: tree, bars and facts, without scripts."""

from collections.abc import Iterator
from html import escape

from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.text.segments import Line, plain
from durable_debugger.views.chrome import inspector_title, status_line
from durable_debugger.views.inspector import inspector_lines
from durable_debugger.views.timeline import Chart, axis_line, timeline_line

WIDTH = 150
FACTS_WIDTH = 110
STYLE = """
:root { color-scheme: light dark; --ok: #00694d; --fail: #a84a00; --wait: #8a5f00; --run: #0072B2; --div: #96497a; }
@media (prefers-color-scheme: dark) {
  :root { --ok: #009E73; --fail: #D55E00; --wait: #E69F00; --run: #56B4E9; --div: #CC79A7; }
}
body { font: 13px/1.35 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; margin: 1.5em; }
pre, summary { white-space: pre; margin: 0; } summary { cursor: pointer; list-style: none; }
summary:hover, summary:focus { background: color-mix(in srgb, currentColor 12%, transparent); }
details[open] > pre { margin: .3em 0 .8em 4ch; }
.dim, .off, .key { opacity: .6 } .title, .name { font-weight: 600 } .ok { color: var(--ok) } .wait { color: var(--wait) }
.fail { color: var(--fail); font-weight: 600 } .run, .recorded { color: var(--run) } .replayed { color: var(--wait) }
.divergence { color: var(--div); font-weight: 700 } .follow_on { color: var(--div); opacity: .7 }
"""


def html_page(session: Session) -> Iterator[str]:
    """Yield the page line by line. Moves the session's cursor over every row."""
    chart = Chart()
    title = escape(session.title)
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f"<style>{STYLE}</style></head><body>"
    yield f"<h1>{title}</h1>\n<pre>{_html(status_line(session, WIDTH))}</pre>\n<pre>{_html(axis_line(session, chart, WIDTH))}</pre>"
    for row in (ROOT, *range(len(session.operations))):
        session.cursor = row
        summary = _html(timeline_line(session, chart, row, WIDTH))
        facts = "\n".join(_html(each) for each in inspector_lines(session, FACTS_WIDTH))
        heading = escape(inspector_title(session))
        yield f"<details><summary>{summary}</summary><pre><b>{heading}</b>\n{facts}</pre></details>"
    yield "</body></html>"


def _html(line: Line) -> str:
    if not plain(line).strip():
        return " "
    return "".join(
        escape(part.text) if part.role == "text" else f'<span class="{part.role}">{escape(part.text)}</span>'
        for part in line
    )
