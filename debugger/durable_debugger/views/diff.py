"""The diff view: a line per call of either side, and the explanation of a difference."""

from collections.abc import Sequence
from dataclasses import dataclass

from durable_debugger.model.diff_rows import DiffRow
from durable_debugger.model.differences import Differences
from durable_debugger.model.facts import KINDS, SUBTYPE_KINDS, state_of
from durable_debugger.model.marks import LOST, note_of
from durable_debugger.model.session import Session
from durable_debugger.text import glyphs
from durable_debugger.text.cells import cut, pad, pad_left, safe, width, wrap
from durable_debugger.text.segments import Line, Part, fit, line, line_width
from durable_debugger.text.source_path import nearer
from durable_debugger.views.results import result_summary
from durable_execution.call_site import CallSite
from durable_execution.comparison.call_tree import CallNode
from durable_execution.counts import counted, plural
from durable_execution.divergence import Divergence, DivergenceKind, Severity, explanation
from durable_execution.protocol import OperationType

SITE_WIDTH = 20
NARROW = 100
LABEL_WIDTH = 10
ORDER = ("recorded", "replayed", "likely", "fix", "effect")
"""Order of the explanation. The effect comes last, because a small pane may cut it."""


@dataclass(slots=True)
class DiffMode:
    """The mode of the diff view.

    Attributes:
        is_by_position: Pair calls by position instead of aligning them.
        is_with_values: Show recorded results instead of remarks.
    """

    is_by_position: bool = False
    is_with_values: bool = False

    @property
    def words(self) -> str:
        """Text for the tab line."""
        values = "names [values]" if self.is_with_values else "[names] values"
        return f"by position · {values}" if self.is_by_position else f"aligned · {values}"


def diff_rows(differences: Differences, mode: DiffMode) -> Sequence[DiffRow]:
    """Return the rows of a mode."""
    return differences.by_position if mode.is_by_position else differences.aligned


def diff_header(differences: Differences, cells: int) -> Line:
    """Return the heading that names the two sides."""
    recorded, replayed = differences.labels
    left = f" {glyphs.RECORDED} {recorded} "
    by = f" by {differences.replayed_by}" if differences.replayed_by else ""
    return fit(
        [Part(left, "recorded"), Part("── ", "dim"), Part(f"{glyphs.REPLAYED} {replayed}{by} ", "replayed")], cells
    )


def diff_line(session: Session, mode: DiffMode, row: DiffRow, cells: int, *, is_cursor: bool = False) -> Line:
    """Draw one row of the comparison."""
    return (
        _pair(row, cells, is_cursor=is_cursor)
        if mode.is_by_position
        else _aligned(session, mode, row, cells, is_cursor=is_cursor)
    )


def remark_lines(differences: Differences, cells: int) -> list[Line]:
    """Return the result of a replay that failed before there was anything to compare."""
    return [[Part(f" {piece}", "fail")] for piece in wrap(safe(differences.remark), max(cells - 2, 20))]


def why_lines(divergence: Divergence | None, row: DiffRow | None, cells: int) -> list[Line]:
    """Return the explanation of a difference.

    Args:
        divergence: The difference; None for equal calls.
        row: The row to explain.
        cells: Width.
    """
    if divergence is None:
        return [
            line(
                (
                    " the same on both sides" if row is not None else " no differences: both sides make the same calls",
                    "ok",
                )
            )
        ]
    more = (
        f"; {divergence.follow_on} more {plural(divergence.follow_on, 'follows', 'follow')} from it"
        if divergence.follow_on
        else ""
    )
    tier = "" if divergence.severity is Severity.ERROR else f"   {divergence.severity.value}"
    lines: list[Line] = [
        line(
            (f" {glyphs.ROOT} {divergence.title}", "divergence"),
            (f"   first difference{tier}{more}" if more or tier else "", "dim"),
        )
    ]
    roles = {"recorded": "recorded", "replayed": "replayed"}
    for word, text in sorted(explanation(divergence), key=lambda pair: ORDER.index(pair[0])):
        room = max(cells - LABEL_WIDTH - 3, 20)
        shown = " ".join(safe(nearer(text)).split())
        for index, piece in enumerate(wrap(shown, room)):
            label = f" {word.capitalize() if not index else '':<{LABEL_WIDTH}}"
            lines.append([Part(label, roles.get(word, "key")), Part(piece)])
    for index, suspect in enumerate(() if divergence.has_evidence else divergence.suspects):
        lines.append(
            [
                Part(f" {'Suspects' if not index else '':<{LABEL_WIDTH}}", "key"),
                Part(cut(safe(nearer(suspect)), cells - LABEL_WIDTH - 2), "warning"),
            ]
        )
    return lines


def why_title(divergence: Divergence | None) -> str:
    """Return the heading of the explanation."""
    if divergence is None:
        return "Why"
    where = f" at call {divergence.position}" if divergence.position is not None else ""
    return f"Why · {divergence.title}{where} of {safe(divergence.context_path)}"


def _aligned(session: Session, mode: DiffMode, row: DiffRow, cells: int, *, is_cursor: bool) -> Line:
    node = row.recorded or row.replayed
    if node is None:
        return _elsewhere(row, is_cursor=is_cursor)
    sign, role = _sign(row)
    side = _side(row)
    number = node.side.position
    glyph, state_role = _state(row.recorded)
    remark, remark_role = _remark(session, mode, row)
    before: Line = [
        Part(glyphs.CURSOR if is_cursor else " ", "accent"),
        Part(sign, role),
        Part(f" {side} ", "recorded" if side == glyphs.RECORDED else "replayed"),
        Part("  " * min(row.depth, 6) + f"{number if number is not None else '':>2}  ", "dim"),
        Part(f"{glyph} ", state_role),
        Part(f"{_kind(node):<9} ", "dim"),
    ]
    column, room = (18, 14) if cells < NARROW else (26, SITE_WIDTH)
    name, site = _name(node), _site(_call_site(row), cells)
    spare = max(cells - line_width(before) - column - 1 - width(remark) - room, 0)
    more = min(max(width(name) - column, 0), spare)  # nothing is cut beside cells that are empty
    room = min(max(room, width(site) + 2), room + spare - more)
    head: Line = [*before, Part(pad(name, column + more) + " ", "name"), Part(remark, remark_role)]
    return [*fit(head, max(cells - room, 30)), Part(pad_left(_site(_call_site(row), room - 2), room - 1) + " ", "dim")]


def _elsewhere(row: DiffRow, *, is_cursor: bool) -> Line:
    """Draw a difference that belongs to no call."""
    if row.divergence is None:
        return []
    sides = [row.divergence.recorded, row.divergence.replayed]
    recorded, replayed = (safe(side.shown) if side else glyphs.DASH for side in sides)
    return [
        Part(glyphs.CURSOR if is_cursor else " ", "accent"),
        Part(glyphs.ROOT if row.is_root else glyphs.FOLLOW_ON, "divergence" if row.is_root else "follow_on"),
        Part(f"   {row.divergence.title.lower():<10} ", "name"),
        Part(f"{recorded} ", "recorded"),
        Part(f"{glyphs.ARROW} ", "dim"),
        Part(replayed, "replayed"),
        Part(f"   {safe(row.divergence.path)}", "dim"),
    ]


def _pair(row: DiffRow, cells: int, *, is_cursor: bool) -> Line:
    half = (cells - 6) // 2
    is_other = row.is_shifted
    sign = Part(glyphs.FOLLOW_ON if is_other else " ", "follow_on")
    left = fit(_half(row.recorded, row.depth), half)
    right = fit(_half(row.replayed, row.depth), half)
    return fit(
        [
            Part(glyphs.CURSOR if is_cursor else " ", "accent"),
            sign,
            Part(" "),
            *left,
            Part(f" {glyphs.PIPE} ", "dim"),
            *right,
        ],
        cells,
    )


def _half(node: CallNode | None, depth: int) -> Line:
    if node is None:
        return [Part(glyphs.DASH, "dim")]
    position = node.side.position
    return [
        Part("  " * min(depth, 4) + f"{position if position is not None else '':>2}  ", "dim"),
        Part(f"{_kind(node):<9} ", "dim"),
        Part(_name(node), "name"),
    ]


def _sign(row: DiffRow) -> tuple[str, str]:
    if row.is_root:
        return glyphs.ROOT, "divergence"
    return (glyphs.FOLLOW_ON, "follow_on") if row.is_follow_on else (" ", "dim")


def _side(row: DiffRow) -> str:
    if row.recorded is None:
        return glyphs.REPLAYED
    return glyphs.RECORDED if row.replayed is None else " "


def _state(node: CallNode | None) -> tuple[str, str]:
    if node is None or node.side.status is None:
        return " ", "dim"
    state = state_of(node.side.status, node.side.type)
    return state.glyph, state.role


def _remark(session: Session, mode: DiffMode, row: DiffRow) -> tuple[str, str]:
    if mode.is_with_values and row.row is not None:
        return result_summary(session.operations[row.row], 60, absent=""), "text"
    if row.divergence is not None and row.is_root:
        is_new = row.recorded is None and row.divergence.kind is not DivergenceKind.REORDERED
        text = "new in your code" if is_new and not row.divergence.moved else note_of(row)
        return f"{text}{_below(row)}", "divergence"
    if row.is_follow_on:
        return _follow_on(row), "follow_on"
    if row.recorded is None:
        return "after the recording ends", "dim"
    if row.replayed is None:
        return "not reached", "dim"
    return (f"{_calls(row.hidden)} in it {plural(row.hidden, 'is', 'are')} the same" if row.hidden else ""), "dim"


def _follow_on(row: DiffRow) -> str:
    kind = row.divergence.kind if row.divergence is not None else None
    if row.divergence is not None and (row.divergence.moved or kind is DivergenceKind.RENAMED):
        return note_of(row)
    if row.recorded is None and kind is DivergenceKind.INSERTED:
        return "also new in your code"
    if kind is None and row.is_one_sided_branch:
        return "new in your code" if row.recorded is None else f"{LOST}{_below(row)}"
    now = row.replayed.side.position if row.replayed else None
    was = row.recorded.side.position if row.recorded else None
    if row.divergence is not None and now is not None and now == was:
        return note_of(row)
    return f"now called as {now}" if now is not None else "never called"


def _below(row: DiffRow) -> str:
    return f", with {_calls(row.hidden)} in it" if row.hidden and row.replayed is None else ""


def _calls(count: int) -> str:
    return counted(count, "call")


def _call_site(row: DiffRow) -> CallSite | None:
    for node in (row.recorded, row.replayed):
        if node is not None and node.side.call_site is not None:
            return node.side.call_site
    return None


def _site(site: CallSite | None, cells: int) -> str:
    """Format file and line. A long file name keeps its end, which tells files of one family apart."""
    if site is None:
        return ""
    name = safe(site.file.replace("\\", "/").rpartition("/")[2]).removesuffix(".py")
    line = f":{site.line}"
    room = max(cells - len(line), 2)
    return f"{name if width(name) <= room else '…' + name[1 - room :]}{line}"


def _kind(node: CallNode) -> str:
    subtype = node.side.subtype or ""
    if subtype in SUBTYPE_KINDS:
        return SUBTYPE_KINDS[subtype]
    try:
        return KINDS[OperationType(node.side.type)]
    except ValueError:
        return node.side.type.lower()


def _name(node: CallNode) -> str:
    if node.side.name:
        return safe(node.side.name)
    return f"branch {node.branch}" if node.branch is not None else "(unnamed)"
