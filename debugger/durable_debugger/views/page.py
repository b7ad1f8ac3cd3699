"""Executions and replay reports as one self-contained HTML page: headline, divergences, calls, a scrubber that steps by call.

The page loads nothing. Without scripts it shows everything; the script adds stepping and keys. It follows the light or dark
scheme of the reader.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

from durable_debugger.model.differences import Differences, of_report
from durable_debugger.model.line_playback import STOPS
from durable_debugger.model.outline import ROOT
from durable_debugger.model.secrets import Secrets
from durable_debugger.model.session import Session, title_of
from durable_debugger.text.segments import Line, plain
from durable_debugger.views.chrome import inspector_title, status_line
from durable_debugger.views.diff import DiffMode, diff_header, diff_line
from durable_debugger.views.inspector import inspector_lines
from durable_debugger.views.timeline import Chart, axis_line, timeline_line
from durable_execution.counts import counted
from durable_execution.divergence import Divergence, explanation
from durable_execution.replay.lines.line_recording import EventKind, LineRecording
from durable_execution.replay.report import ReplayReport, Verdict

STYLE = """
:root { color-scheme: light dark; --ok: #00694d; --fail: #a84a00; --wait: #8a5f00; --run: #0072B2; --div: #96497a; }
@media (prefers-color-scheme: dark) {
  :root { --ok: #2bc79a; --fail: #ff8a3d; --wait: #E69F00; --run: #56B4E9; --div: #e39ac4; }
}
* { box-sizing: border-box } i { font-style: normal }
body { font: 13px/1.35 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; margin: 1.5em; }
h1 { font-size: 1.3em } h2, h3 { display: inline; font-size: 1.05em }
h1, h2, h3, .report > summary { white-space: normal; overflow-wrap: anywhere }
pre, summary { white-space: pre; margin: 0; font: inherit } summary { cursor: pointer; list-style: none }
summary:hover, summary:focus-visible, button:hover { background: color-mix(in srgb, currentColor 12%, transparent) }
:focus-visible { outline: 2px solid var(--run); outline-offset: 1px }
.scroll { overflow-x: auto } ol { list-style: none; margin: 0; padding: 0 }
li details[open] > pre { margin: .3em 0 .8em 4ch }
li.future { opacity: .35 } li.now > details > summary { background: color-mix(in srgb, var(--run) 25%, transparent) }
.scrubber { position: sticky; top: 0; display: flex; gap: 1ch; align-items: center; padding: .5em 0; background: Canvas; z-index: 1 }
.scrubber[hidden] { display: none } .scrubber input { flex: 1; min-width: 8em } output { flex: 2; min-width: 10em }
.five { border-left: 3px solid var(--div); margin: 1em 0; padding: .3em 1em } dl { display: grid; grid-template-columns: 10ch 1fr; margin: .5em 0 }
dt { opacity: .7 } dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
table { border-collapse: collapse; margin: 1em 0 } th, td { text-align: left; padding: .2em 1.5ch .2em 0; vertical-align: top }
.lines > h2 { display: block; margin: 1.5em 0 0 }
.report { margin: 1em 0; border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding-top: .5em }
.dim, .off, .key { opacity: .7 } .title, .name { font-weight: 600 } .ok { color: var(--ok) } .wait { color: var(--wait) }
.fail { color: var(--fail); font-weight: 600 } .run, .recorded { color: var(--run) } .replayed { color: var(--wait) }
.divergence { color: var(--div); font-weight: 700 } .follow_on { color: var(--div); opacity: .8 } dd.fix { font-weight: 600 }
.code { max-height: 24em; overflow: auto } .code div[hidden] { display: none } .code mark { color: inherit; background: color-mix(in srgb, var(--run) 30%, transparent) }
.locals { min-height: 4em; white-space: pre-wrap; overflow-wrap: anywhere; margin: .5em 0 }
@media (max-width: 40em) { body { margin: .7em } .scrubber { flex-wrap: wrap } output { flex-basis: 100% } }
@media print { .scrubber { display: none } li.future { opacity: 1 } }
"""

SCRIPT = """
for (const calls of document.querySelectorAll('.calls')) {
  const count = Number(calls.dataset.count);
  if (!count) continue;
  const bar = calls.querySelector('.scrubber'), range = bar.querySelector('input'), output = bar.querySelector('output');
  const rows = [...calls.querySelectorAll('li[data-at]')];
  const byNumber = new Map(rows.map(row => [Number(row.dataset.at), row]));
  bar.hidden = false;
  const show = isStep => {
    const at = Number(range.value), current = at > 0 ? byNumber.get(at) : null;
    for (const row of rows) {
      row.classList.toggle('future', Number(row.dataset.at) > at);
      row.classList.toggle('now', isStep && row === current);
    }
    const what = current ? `${current.dataset.name}, ${current.dataset.status}` : 'before the first call';
    output.textContent = `call ${at} of ${count}: ${what}`;
    range.setAttribute('aria-valuetext', output.textContent);
    if (isStep && current) current.scrollIntoView({ block: 'nearest' });
  };
  const step = by => { range.value = Math.min(count, Math.max(0, Number(range.value) + by)); show(true); };
  range.addEventListener('input', () => show(true));
  for (const button of bar.querySelectorAll('button')) button.addEventListener('click', () => step(Number(button.dataset.step)));
  calls.step = step;
  calls.toggle = () => { const row = byNumber.get(Number(range.value)); if (row) row.firstChild.open = !row.firstChild.open; };
  show(false);
}
for (const section of document.querySelectorAll('.lines')) {
  const { stops, texts } = JSON.parse(section.querySelector('script').textContent);
  if (!stops.length) continue;
  const bar = section.querySelector('.scrubber'), range = bar.querySelector('input'), output = bar.querySelector('output');
  const locals = section.querySelector('.locals');
  let marked = null;
  bar.hidden = false;
  const show = isStep => {
    const at = Number(range.value), [file, line, place, values] = stops[at - 1];
    for (const each of section.querySelectorAll('.code > div')) each.hidden = Number(each.dataset.file) !== file;
    if (marked) marked.replaceWith(...marked.childNodes);
    const row = section.querySelector(`[data-file="${file}"] [data-line="${line}"]`);
    if (row) {
      marked = document.createElement('mark');
      marked.append(...row.childNodes);
      row.append(marked);
      if (isStep) row.scrollIntoView({ block: 'nearest' });
    }
    locals.textContent = texts[values];
    output.textContent = `line ${at} of ${stops.length}: ${texts[place]}`;
    range.setAttribute('aria-valuetext', output.textContent);
  };
  const step = by => { range.value = Math.min(stops.length, Math.max(1, Number(range.value) + by)); show(true); };
  range.addEventListener('input', () => show(true));
  for (const button of bar.querySelectorAll('button')) button.addEventListener('click', () => step(Number(button.dataset.step)));
  section.step = step;
  show(false);
}
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'INPUT') return;
  const nearest = kind => {
    const shown = [...document.querySelectorAll(kind)].filter(each => each.step && each.offsetParent !== null);
    const report = document.activeElement.closest('.report');
    return shown.find(each => each.contains(document.activeElement)) ?? shown.find(each => report?.contains(each)) ?? shown[0];
  };
  const calls = nearest('.calls'), lines = nearest('.lines');
  if (lines && (event.key === 'l' || event.key === 'L')) {
    lines.step(event.key === 'l' ? 1 : -1);
    event.preventDefault();
    return;
  }
  if (!calls) return;
  if (event.key === 'n') calls.step(1);
  else if (event.key === 'N') calls.step(-1);
  else if (event.key === 'v') calls.toggle();
  else return;
  event.preventDefault();
});
"""

WIDTH = 150
FACTS_WIDTH = 110
LONGEST_FACTS = 20
"""Lines of facts per call, so that a page of 1,000 calls stays below a megabyte."""


MOST_LINES = 2_000
"""Executed lines on a page; the debugger steps through more."""
MOST_LOCALS = 12
NO_LINES: Mapping[int, LineRecording] = MappingProxyType({})
AROUND = 3
"""Lines of source that are shown before the first and after the last line that ran."""
LONGEST_LOCAL = 120


def html_page(session: Session, recording: LineRecording | None = None) -> Iterator[str]:
    """Yield the page of an execution line by line. Moves the session's cursor over every row.

    Args:
        session: The execution.
        recording: A replay of today's code, line by line; None leaves out the lines.
    """
    yield from _head(_shown(session.title, session.secrets))
    yield f"<h1>{_shown(session.title, session.secrets)}</h1>"
    yield f'<div class="scroll"><pre>{_html(status_line(session, WIDTH), session.secrets)}</pre></div>'
    if session.differences:
        yield from _divergences(session.differences, session.secrets)
    yield from _calls(session)
    if recording is not None:
        yield from _lines(recording, session.secrets)
    yield from _tail()


def replay_page(
    reports: Iterable[ReplayReport], secrets: Secrets | None, lines: Mapping[int, LineRecording] = NO_LINES
) -> Iterator[str]:
    """Yield the page of many replays line by line: a table of results, then each replay with what differs.

    Args:
        reports: The replays.
        secrets: The rules that hide secrets; None shows them.
        lines: Replays line by line, by their place in the reports.
    """
    found = list(reports)
    same = sum(report.verdict is Verdict.SAME for report in found)
    title = f"{same} of {counted(len(found), 'recording')} replayed without a difference"
    yield from _head(escape(title))
    yield f"<h1>{escape(title)}</h1>"
    yield '<div class="scroll">'
    yield "<table><thead><tr><th>Recording<th>Handler<th>Result<th>Calls replayed<th>First difference</tr></thead><tbody>"
    for index, report in enumerate(found):
        headline = report.root.headline if report.root else (report.error or "")
        yield (
            f'<tr><td><a href="#r{index}">{escape(report.source)}</a><td>{escape(report.handler)}'
            f'<td class="{_role(report)}">{report.verdict.value}<td>{report.calls}<td>{_shown(headline, secrets)}</tr>'
        )
    yield "</tbody></table></div>"
    for index, report in enumerate(found):
        yield from _replay(index, report, secrets, lines.get(index))
    yield from _tail()


def _replay(index: int, report: ReplayReport, secrets: Secrets | None, lines: LineRecording | None) -> Iterator[str]:
    state = "" if report.verdict is Verdict.SAME else " open"
    yield f'<details class="report" id="r{index}"{state}><summary><h2>{escape(report.source)}: {report.verdict.value}</h2></summary>'
    if report.error:
        yield f'<p class="fail">{_shown(report.error, secrets)}</p>'
    for note in (*map(str, report.effects), *report.notes):
        yield f"<p>{_shown(note, secrets)}</p>"
    execution = report.execution
    if execution is None:
        for divergence in report.roots:
            yield from _five_lines(divergence, secrets)
    else:
        rows = {operation.id: row for row, operation in enumerate(execution.operations)}
        differences = Differences(of_report(report), rows, operations=execution.operations)
        session = Session(
            execution,
            as_of=execution.ended_at or execution.started_at,
            origin=report.source,
            title=title_of(execution, report.source),
            differences=differences,
            secrets=secrets,
        )
        yield from _divergences(differences, secrets)
        yield from _aligned(session, differences)
        yield from _calls(session)
        if lines is not None:
            yield from _lines(lines, secrets)
    yield "</details>"


def _role(report: ReplayReport) -> str:
    return "ok" if report.verdict is Verdict.SAME else "divergence"


def _divergences(differences: Differences, secrets: Secrets | None) -> Iterator[str]:
    roots = [differences.aligned[index].divergence for index in differences.roots]
    for divergence in roots:
        if divergence is not None:
            yield from _five_lines(divergence, secrets)


def _shown(text: str, secrets: Secrets | None) -> str:
    """Return text as HTML, without secrets unless they are to be shown: names, notes and errors can contain them too."""
    return escape(secrets.text(text) if secrets is not None else text)


def _five_lines(divergence: Divergence, secrets: Secrets | None) -> Iterator[str]:
    yield f'<section class="five" aria-label="Divergence"><h3>{_shown(divergence.headline, secrets)}</h3><dl>'
    for label, text in explanation(divergence):
        yield f'<dt>{escape(label)}<dd class="{escape(label)}">{_shown(text, secrets)}'
    yield "</dl></section>"


def _aligned(session: Session, differences: Differences) -> Iterator[str]:
    yield '<details class="aligned"><summary>Recorded and replayed calls</summary><div class="scroll"><pre>'
    yield _html(diff_header(differences, WIDTH), session.secrets)
    mode = DiffMode()
    yield from (_html(diff_line(session, mode, row, WIDTH), session.secrets) for row in differences.aligned)
    yield "</pre></div></details>"


def _calls(session: Session) -> Iterator[str]:
    """The calls in tree order with their bars, and the scrubber that steps through them in the order of their start."""
    chart = Chart()
    order = _order(session)
    count = len(session.operations)
    yield f'<section class="calls" aria-label="Calls" data-count="{count}">'
    yield (
        '<div class="scrubber" role="group" aria-label="Step through the calls" hidden>'
        '<button type="button" data-step="-1" aria-label="Previous call">◀</button>'
        f'<input type="range" min="0" max="{count}" value="{count}" aria-label="Call">'
        '<button type="button" data-step="1" aria-label="Next call">▶</button>'
        '<output aria-live="polite"></output></div>'
    )
    yield f'<div class="scroll"><pre aria-hidden="true">{_html(axis_line(session, chart, WIDTH), None)}</pre><ol>'
    for row in (ROOT, *range(count)):
        session.cursor = row
        summary = _html(timeline_line(session, chart, row, WIDTH), session.secrets)
        facts = [_html(each, session.secrets) for each in inspector_lines(session, FACTS_WIDTH)]
        if len(facts) > LONGEST_FACTS:
            facts = [
                *facts[:LONGEST_FACTS],
                f"… {counted(len(facts) - LONGEST_FACTS, 'more line')}: durable-debug show --json",
            ]
        heading = _shown(inspector_title(session), session.secrets)
        label = (
            ""
            if row == ROOT
            else f' data-at="{order[row]}" data-name="{_shown(session.operations[row].path, session.secrets)}"'
        )
        status = "" if row == ROOT else f' data-status="{session.operations[row].status.value}"'
        body = "\n".join(facts)
        yield f"<li{label}{status}><details><summary>{summary}</summary><pre><b>{heading}</b>\n{body}</pre></details></li>"
    yield "</ol></div></section>"


def _lines(recording: LineRecording, secrets: Secrets | None) -> Iterator[str]:
    """The source of the lines that ran, and the scrubber that steps through them with the local variables."""
    stops = [index for index, event in enumerate(recording.events) if event.kind in STOPS]
    shown = stops[:MOST_LINES]
    files: dict[str, set[int]] = {}
    texts: dict[str, int] = {}
    data: list[tuple[int, int, int, int]] = []
    for index in shown:
        event, frame = recording.events[index], recording.frames[recording.events[index].frame]
        files.setdefault(frame.file, set()).add(event.line)
        place = f"{Path(frame.file).name}:{event.line} in {frame.function}"
        place += f", {event.text}" if event.kind is EventKind.EXCEPTION and event.text else ""
        values = recording.locals_at(index)
        lines = [f"{name} = {value[:LONGEST_LOCAL]}" for name, value in list(values.items())[:MOST_LOCALS]]
        at_place = texts.setdefault(_redacted(place, secrets), len(texts))
        with_values = texts.setdefault(_redacted("\n".join(lines), secrets), len(texts))
        data.append((list(files).index(frame.file), event.line, at_place, with_values))
    yield '<section class="lines" aria-label="Lines"><h2>Lines of a replay of the code on disk</h2>'
    yield (
        '<div class="scrubber" role="group" aria-label="Step through the lines" hidden>'
        '<button type="button" data-step="-1" aria-label="Previous line">◀</button>'
        f'<input type="range" min="1" max="{len(data)}" value="1" aria-label="Line">'
        '<button type="button" data-step="1" aria-label="Next line">▶</button>'
        '<output aria-live="polite"></output></div>'
    )
    if len(stops) > len(shown):
        yield f"<p>The first {len(shown):,} of {counted(len(stops), 'executed line')}; step through all of them with durable-debug.</p>"
    yield '<pre class="locals"></pre><div class="code">'
    for number, (file, ran) in enumerate(files.items()):
        yield f'<div data-file="{number}"><b>{escape(file)}</b><pre>{_source(file, ran, secrets)}</pre></div>'
    document = json.dumps({"stops": data, "texts": list(texts)}).replace("<", "\\u003c")
    yield f'</div><script type="application/json">{document}</script></section>'


def _redacted(text: str, secrets: Secrets | None) -> str:
    return secrets.text(text) if secrets is not None else text


def _source(file: str, ran: set[int], secrets: Secrets | None) -> str:
    """Return the lines of a file from the first to the last that ran, with those around them."""
    try:
        found = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return "the source is not on this machine"
    if secrets is not None:
        found = secrets.source("\n".join(found)).split("\n")
    first, last = max(1, min(ran) - AROUND), min(len(found), max(ran) + AROUND)
    return "\n".join(
        f'<span data-line="{number}">{number:>5}  {escape(found[number - 1])}</span>'
        for number in range(first, last + 1)
    )


def _order(session: Session) -> list[int]:
    """Number of each call in the order of their start, from 1; calls without a time keep the order of the tree."""
    times = [operation.started_at.timestamp() if operation.started_at else 0.0 for operation in session.operations]
    ranked = sorted(range(len(times)), key=lambda row: (times[row], row))
    numbers = [0] * len(times)
    for number, row in enumerate(ranked, start=1):
        numbers[row] = number
    return numbers


def _head(title: str) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{STYLE}</style></head><body>"


def _tail() -> Iterator[str]:
    yield f"<script>{SCRIPT}</script></body></html>"


def _html(line: Line, secrets: Secrets | None) -> str:
    if not plain(line).strip():
        return " "
    html = ""
    for role, parts in groupby(line, lambda part: part.role if part.text.strip() else "text"):
        shown = "".join(part.text for part in parts)
        text = escape(secrets.text(shown) if secrets is not None else shown, quote=False)
        html += text if role == "text" else f"<i class={role}>{text}</i>"
    return html.rstrip()
