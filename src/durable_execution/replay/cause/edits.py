"""Finds the edit that makes a difference: the line of the recorded source that differs today and runs before the call."""

import difflib
import linecache
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePath
from typing import Literal

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import place
from durable_execution.counts import counted
from durable_execution.divergence import Cause, Divergence, Evidence, Side, common_start
from durable_execution.history.recorded import RecordedExecution
from durable_execution.redaction import HIDDEN, redacted_source
from durable_execution.replay.lines.line_recording import EventKind, LineRecording
from durable_execution.replay.source.placement import is_only_renamed, line_of_call, moved, says
from durable_execution.replay.source.statements import Source, parsed, source_of
from durable_execution.trace.sources import RecordedSource, digest_of_source, source_texts

MAX_CODE = 60
CODE_BEFORE = 20
"""How much of a line is shown before the first difference, when the line is cut."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A run of lines that differs.

    Attributes:
        file: Today's file.
        recorded_file: The file as it was recorded.
        recorded: The recorded lines that are gone, by number.
        today: The lines that are new, by number.
        line: Today's line at which the edit is.
        is_hidden: Whether only a secret on the line differs, which neither side shows.
        moved: The recorded line that has the first new line's text and is gone, or today's line with the first gone line's text
            that is new; None where no other edit has it.
        kept: Today's line of each recorded line of the file that no edit touches.
        was: The recorded text of the file.
    """

    file: str
    recorded_file: str
    recorded: Mapping[int, str]
    today: Mapping[int, str]
    line: int
    is_hidden: bool = False
    moved: int | None = None
    kept: Mapping[int, int] = field(default_factory=dict)
    was: str = ""

    @property
    def is_indented(self) -> bool:
        """Whether only the indentation of its lines changed."""
        return list(self.recorded.values()) == list(self.today.values())

    @property
    def before(self) -> Source:
        """The statements of the recorded file."""
        return parsed(self.recorded_file, self.was)

    @property
    def after(self) -> Source:
        """The statements of today's file."""
        return parsed(self.file, "".join(linecache.getlines(self.file)))


def cause_by_edit(
    divergence: Divergence,
    lines: LineRecording,
    sources: Mapping[str, RecordedSource],
    operation_id: str | None,
    related: set[tuple[str, int]],
) -> Cause | None:
    """Return the edit that probably makes a difference; None if no edited line runs before the call.

    Args:
        divergence: The difference.
        lines: A replay of today's code.
        sources: The recorded source, by path.
        operation_id: Id of the call at which the replay differs.
        related: File and first line of the statements that the call depends on.
    """
    functions = {_outermost(frame.function) for frame in lines.frames}
    edits = [edit for one in _all_edits(lines, sources) for edit in _with_moves(one, functions)]
    if not edits:
        return None
    when = _executed(lines, operation_id)
    chosen = (
        next((one for one in edits if _has_call(one, divergence)), None)
        or next((one for one in edits if any((one.file, line) in related for line in one.today)), None)
        or next((one for one in edits if _encloses(one, divergence)), None)
        or max((one for one in edits if _when(one, when) >= 0), key=lambda one: _when(one, when), default=None)
    )
    return _cause(chosen, divergence, edits) if chosen is not None else None


def edited_lines(lines: LineRecording, sources: Mapping[str, RecordedSource]) -> set[tuple[str, int]]:
    """Return file and line of every line of today's code that is not in the recorded source."""
    return {(edit.file, line) for edits in _all_edits(lines, sources) for edit in edits for line in edit.today}


def _all_edits(lines: LineRecording, sources: Mapping[str, RecordedSource]) -> list[list[Edit]]:
    """The edits of each recorded file."""
    is_elsewhere = {frame.file for frame in lines.frames}.isdisjoint(sources)
    files = {file: _today(file, lines, is_elsewhere=is_elsewhere) for file in sources}
    return [list(_edits(file, files[file], source)) for file, source in sources.items()]


def recorded_sources(execution: RecordedExecution) -> dict[str, RecordedSource]:
    """Return the source that the replay traces of an execution hold, by path."""
    return source_texts(line for trace in execution.traces for line in getattr(trace, "sources", ()))


def is_unedited(divergence: Divergence, sources: Mapping[str, RecordedSource], lines: LineRecording) -> bool:
    """Whether all code that a replay ran is the recorded code, the function that made the recorded call among it.

    Args:
        divergence: The difference.
        sources: The recorded source, by path.
        lines: A replay of today's code.
    """
    ran = {frame.file for frame in lines.frames}
    site = divergence.recorded.call_site if divergence.recorded is not None else None
    is_elsewhere = ran.isdisjoint(sources)
    where = _today(site.file, lines, is_elsewhere=is_elsewhere) if site is not None else None
    if site is None or (where, site.function) not in {(frame.file, frame.function) for frame in lines.frames}:
        return False  # a different function, or one of a different file, may be today's handler
    today = {_today(file, lines, is_elsewhere=is_elsewhere): source for file, source in sources.items()}
    return all(file in today and _is_recorded(file, today[file]) for file in ran)


def _is_recorded(file: str, source: RecordedSource) -> bool:
    linecache.checkcache(file)
    return digest_of_source("".join(linecache.getlines(file))) == source.digest


def edit_at_call(divergence: Divergence, sources: Mapping[str, RecordedSource]) -> Cause | None:
    """Return the edit of the call itself, or around it, without a replay; None where the source does not show one.

    Args:
        divergence: A difference that an execution met at run time.
        sources: The source of its first invocation, by path.
    """
    replayed = divergence.replayed
    site = replayed.call_site if replayed is not None else None
    if replayed is None or site is None or site.file not in sources:
        return None
    linecache.checkcache(site.file)
    here = parsed(site.file, "".join(linecache.getlines(site.file))).at(site.line)
    if here is None or not says(here, replayed):
        return None  # the file is not the one that the invocation ran
    edits = _with_moves(list(_edits(site.file, site.file, sources[site.file])), {_outermost(site.function)})
    chosen = next((one for one in edits if _has_call(one, divergence)), None) or next(
        (one for one in edits if _encloses(one, divergence)), None
    )
    return _cause(chosen, divergence, edits) if chosen is not None else None


def _edits(recorded_file: str, file: str | None, source: RecordedSource) -> Iterator[Edit]:
    if file is None:
        return
    linecache.checkcache(file)
    text = "".join(linecache.getlines(file))
    if not text or digest_of_source(text) == source.digest:
        return
    before, now = source.text.split("\n"), _redacted(text).split("\n")
    if before == now:
        hidden = [number for number, line in enumerate(now, start=1) if HIDDEN in line]
        if source.digest is not None and len(hidden) == 1:
            line = {hidden[0]: now[hidden[0] - 1].strip()}
            yield Edit(file, recorded_file, line, line, hidden[0], is_hidden=True)
        return
    matcher = difflib.SequenceMatcher(None, before, now, autojunk=False)
    kept = {a + at + 1: b + at + 1 for a, b, size in matcher.get_matching_blocks() for at in range(size)}
    for word, start, stop, first, last in matcher.get_opcodes():
        if word == "equal":
            continue
        gone = {number + 1: before[number].strip() for number in range(start, stop) if _is_code(before[number])}
        new = {number + 1: now[number].strip() for number in range(first, last) if _is_code(now[number])}
        if not gone and not new:
            continue
        found = Edit(file, recorded_file, gone, new, min(new, default=first + 1), kept=kept, was=source.text)
        if not _is_same(list(gone.values()), list(new.values())) or _has_moved(found):
            yield found


@lru_cache(maxsize=32)
def _redacted(text: str) -> str:
    return redacted_source(text)


def _is_same(recorded: Sequence[str], today: Sequence[str]) -> bool:
    """Whether lines are the same where nothing is hidden: the recorder can have had rules that are unknown here."""
    return len(recorded) == len(today) and all(
        left == right
        or (HIDDEN in left and re.fullmatch(".*".join(map(re.escape, left.split(HIDDEN))), right) is not None)
        for left, right in zip(recorded, today, strict=True)
    )


def _has_moved(edit: Edit) -> bool:
    """Whether lines whose text is the same stand in a different loop or condition."""
    if not edit.is_indented:
        return False
    before, now = edit.before, parsed(edit.file, "".join(linecache.getlines(edit.file)))
    return any(moved(before, old, now, new, edit.kept) for old, new in zip(edit.recorded, edit.today, strict=True))


def _with_moves(edits: list[Edit], functions: Collection[str]) -> list[Edit]:
    """The edits of a file, those that only add or only remove lines with the place where another edit has the same lines.

    Args:
        edits: The edits.
        functions: Names of the functions that ran: what was edited in others is another change.
    """
    found: list[Edit] = []
    for edit in edits:
        moved: int | None = None
        for other in edits:
            if not edit.recorded and _holds(other.recorded, edit.today):
                places, source = _places(other.recorded, edit.today), other.before
            elif not edit.today and _holds(other.today, edit.recorded):
                places, source = _places(other.today, edit.recorded), other.after
            else:
                continue
            moved = next((line for line in places if source.function_around(line) in (None, *functions)), moved)
        found.append(replace(edit, moved=moved))
    return found


def _places(lines: Mapping[int, str], part: Mapping[int, str]) -> list[int]:
    first = next(iter(part.values()))
    return [number for number, text in lines.items() if text == first]


def _outermost(function: str) -> str:
    """The name of the function or method that a function with this qualified name is in."""
    return function.partition(".<locals>")[0].rpartition(".")[2]


def _holds(lines: Mapping[int, str], part: Mapping[int, str]) -> bool:
    """Whether lines have another edit's lines among them."""
    return bool(part) and set(part.values()) <= set(lines.values())


def _today(file: str, lines: LineRecording, *, is_elsewhere: bool) -> str | None:
    """Today's path of a recorded file: the same, or the one that ran and whose path ends the same.

    Args:
        file: The recorded file.
        lines: A replay of today's code.
        is_elsewhere: Whether none of the recorded files ran: this is a different copy of the code, or a different computer.
    """
    known = list(dict.fromkeys(frame.file for frame in lines.frames))
    if file in known or (not is_elsewhere and linecache.getlines(file)):
        return file
    return max(
        (one for one in known if PurePath(one).name == PurePath(file.replace("\\", "/")).name),
        key=lambda one: _common(one, file),
        default=None,
    )


def _common(left: str, right: str) -> int:
    parts = zip(reversed(PurePath(left).parts), reversed(PurePath(right.replace("\\", "/")).parts), strict=False)
    return next((number for number, (a, b) in enumerate(parts) if a != b), 99)


def _is_code(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith("#")


def _executed(lines: LineRecording, operation_id: str | None) -> dict[tuple[str, int], int]:
    """When each line ran last, before the call."""
    stop = lines.operation(operation_id) if operation_id is not None else None
    return {
        (lines.frames[event.frame].file, event.line): number
        for number, event in enumerate(lines.events[:stop])
        if event.kind is EventKind.LINE
    }


def _when(edit: Edit, ran: Mapping[tuple[str, int], int]) -> int:
    """When an edited line ran last; for lines that are gone, when the lines around them ran. -1 for never."""
    numbers: Sequence[int] = list(edit.today) or [edit.line - 1, edit.line]
    return max((ran.get((edit.file, number), -1) for number in numbers), default=-1)


def _has_call(edit: Edit, divergence: Divergence) -> bool:
    """Whether the call itself was edited: it is on a line that is gone, or on a new one."""
    recorded = divergence.recorded.call_site if divergence.recorded is not None else None
    replayed = divergence.replayed.call_site if divergence.replayed is not None else None
    return _is_in(recorded, edit.recorded_file, edit.recorded) or _is_in(replayed, edit.file, edit.today)


def _is_in(site: CallSite | None, file: str, lines: Mapping[int, str]) -> bool:
    return site is not None and site.file == file and site.line in lines


def _encloses(edit: Edit, divergence: Divergence) -> bool:
    """Whether the edit put a new loop or condition around the recorded call: the code goes there later, or not at all."""
    recorded = divergence.recorded.call_site if divergence.recorded is not None else None
    if recorded is None or recorded.file != edit.recorded_file or recorded.line not in edit.kept:
        return False
    statement = source_of(edit.file).at(edit.kept[recorded.line])
    return statement is not None and not edit.today.keys().isdisjoint(statement.parents)


def _cause(edit: Edit, divergence: Divergence, edits: Sequence[Edit]) -> Cause:
    recorded, today = list(edit.recorded.values()), list(edit.today.values())
    same = common_start(recorded[0], today[0]) if recorded and today else 0
    gone, new = _code(recorded, same), _code(today, same)
    line: int = edit.line
    how: Literal["added", "moved", "renamed"] | None = _done_by(edit, divergence)
    relocated = _relocated(edit, divergence, edits)
    sides = divergence.recorded, divergence.replayed
    if relocated is not None:
        line, what, how = *relocated, "moved"
    elif how == "renamed" and sides[0] is not None and sides[1] is not None:
        what = f"the name {sides[0].short_name} became {sides[1].short_name}"
    elif edit.is_hidden:
        what = f"the hidden value in {_code(today)} changed"
    elif not edit.today:
        what = f"{gone} {f'moved from here to line {edit.moved}' if edit.moved is not None else _were(recorded, 'removed')}"
    elif not edit.recorded:
        what = f"{new} {f'moved here from line {edit.moved}' if edit.moved is not None else _were(today, 'added')}"
    else:
        what = f"{gone} became {new}"
    text = f"{place(CallSite(edit.file, line, ''))} was edited after the recording: {what}"
    return Cause(Evidence.CHANGED, edit.file, line, text, divergence.fix, edit=how)


def _relocated(edit: Edit, divergence: Divergence, edits: Sequence[Edit]) -> tuple[int, str] | None:
    """Return today's line of a recorded call that left a loop or condition, or went into one, and what happened to it."""
    side = divergence.recorded
    site = side.call_site if side is not None else None
    if side is None or site is None or not _is_in(site, edit.recorded_file, edit.recorded):
        return None
    today = edit.after
    lines = (number for one in edits if one.file == edit.file for number in one.today)
    old, line = edit.before.at(site.line), line_of_call(today, lines, side)
    how = moved(edit.before, site.line, today, line, edit.kept) if line is not None else ""
    new = today.at(line) if line is not None else None
    if old is None or new is None or line is None or not how:
        return None
    before, now = old.text.strip(), new.text.strip()
    same = common_start(before, now)
    became = "" if before == now else f" and became {_code([now], same)}"
    return line, f"{_code([before], same if became else 0)} {how}{became}"


def _done_by(edit: Edit, divergence: Divergence) -> Literal["added", "renamed"] | None:
    recorded, replayed = divergence.recorded, divergence.replayed
    if recorded is None or replayed is None or edit.moved is not None:
        return None
    if not edit.recorded:
        return "added" if _is_addition(edit, recorded, replayed) else None
    is_here = _is_in(recorded.call_site, edit.recorded_file, edit.recorded) and _is_in(
        replayed.call_site, edit.file, edit.today
    )
    if recorded.call_site is None or replayed.call_site is None or not is_here:
        return None
    today = edit.after
    old, new = edit.before.at(recorded.call_site.line), today.at(replayed.call_site.line)
    return "renamed" if is_only_renamed(old, new, recorded, replayed) else None


def _is_addition(edit: Edit, recorded: Side, replayed: Side) -> bool:
    """Whether the edit only added lines, the new call among them, and the recorded call's line still follows.

    A replay cannot always show that: a new call has no result to give, so that the replay may end where it is used.
    """
    site = recorded.call_site
    is_new = _is_in(replayed.call_site, edit.file, edit.today)
    return is_new and site is not None and site.file == edit.recorded_file and edit.kept.get(site.line, 0) > edit.line


def _were(lines: Sequence[str], verb: str) -> str:
    return f"{'was' if len(lines) == 1 else 'were'} {verb}"


def _code(lines: Sequence[str], same: int = 0) -> str:
    """Return the first line, cut so that what follows the first `same` characters is shown."""
    if not lines:
        return "nothing"
    more = len(lines) - 1
    return f"`{_around(lines[0], same)}`" + (f" and {counted(more, 'more line')}" if more else "")


def _around(line: str, at: int) -> str:
    if len(line) <= MAX_CODE:
        return line
    start = max(0, min(at - CODE_BEFORE, len(line) - MAX_CODE)) if at > MAX_CODE - CODE_BEFORE else 0
    end = start + MAX_CODE
    return f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"
