"""Finds the edit that makes a difference: the line of the recorded source that differs today and runs before the call."""

import difflib
import linecache
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePath

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import place
from durable_execution.counts import counted
from durable_execution.divergence import Cause, Divergence, Evidence, common_start
from durable_execution.redaction import HIDDEN, redacted_source
from durable_execution.replay.line_recording import EventKind, LineRecording
from durable_execution.replay.statements import source_of
from durable_execution.trace.sources import RecordedSource, digest_of_source

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
    """

    file: str
    recorded_file: str
    recorded: Mapping[int, str]
    today: Mapping[int, str]
    line: int
    is_hidden: bool = False
    moved: int | None = None
    kept: Mapping[int, int] = field(default_factory=dict)


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
    ran = {frame.file for frame in lines.frames}
    is_elsewhere = ran.isdisjoint(sources)
    files = {file: _today(file, lines, is_elsewhere=is_elsewhere) for file in sources}
    edits = [edit for file, source in sources.items() for edit in _with_moves(list(_edits(file, files[file], source)))]
    if not edits:
        return None
    when = _executed(lines, operation_id)
    chosen = (
        next((one for one in edits if _has_call(one, divergence)), None)
        or next((one for one in edits if any((one.file, line) in related for line in one.today)), None)
        or next((one for one in edits if _encloses(one, divergence)), None)
        or max((one for one in edits if _when(one, when) >= 0), key=lambda one: _when(one, when), default=None)
    )
    return _cause(chosen, divergence) if chosen is not None else None


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
        if (gone or new) and not _is_same(list(gone.values()), list(new.values())):
            yield Edit(file, recorded_file, gone, new, min(new, default=first + 1), kept=kept)


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


def _with_moves(edits: list[Edit]) -> list[Edit]:
    """The edits of a file, those that only add or only remove lines with the place where another edit has the same lines."""
    found: list[Edit] = []
    for edit in edits:
        moved: int | None = None
        for other in edits:
            if not edit.recorded and _holds(other.recorded, edit.today):
                moved = next(
                    number for number, text in other.recorded.items() if text == next(iter(edit.today.values()))
                )
            elif not edit.today and _holds(other.today, edit.recorded):
                moved = next(
                    number for number, text in other.today.items() if text == next(iter(edit.recorded.values()))
                )
        found.append(replace(edit, moved=moved))
    return found


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


def _cause(edit: Edit, divergence: Divergence) -> Cause:
    recorded, today = list(edit.recorded.values()), list(edit.today.values())
    same = common_start(recorded[0], today[0]) if recorded and today else 0
    gone, new = _code(recorded, same), _code(today, same)
    if edit.is_hidden:
        what = f"was edited after the recording: the hidden value in {_code(today)} changed"
    elif not edit.today:
        verb = f"moved from here to line {edit.moved}" if edit.moved is not None else _were(recorded, "removed")
        what = f"was edited after the recording: {gone} {verb}"
    elif not edit.recorded:
        verb = f"moved here from line {edit.moved}" if edit.moved is not None else _were(today, "added")
        what = f"was edited after the recording: {new} {verb}"
    else:
        what = f"was edited after the recording: {gone} became {new}"
    text = f"{place(CallSite(edit.file, edit.line, ''))} {what}"
    is_addition = _is_addition(edit, divergence)
    return Cause(Evidence.CHANGED, edit.file, edit.line, text, divergence.fix, is_addition=is_addition)


def _is_addition(edit: Edit, divergence: Divergence) -> bool:
    """Whether the edit only added lines, the new call among them, and the recorded call's line still follows.

    A replay cannot always show that: a new call has no result to give, so that the replay may end where it is used.
    """
    recorded, replayed = divergence.recorded, divergence.replayed
    if edit.recorded or edit.moved is not None or recorded is None or replayed is None:
        return False
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
