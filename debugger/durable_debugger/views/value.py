"""The value window: the full values of a call."""

from difflib import SequenceMatcher

from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.text import glyphs, payloads
from durable_debugger.text.cells import safe
from durable_debugger.text.payloads import expanded
from durable_debugger.text.segments import Line, Part
from durable_debugger.views.results import Previous, previous_result, result_words
from durable_debugger.views.variables import variables
from durable_execution.protocol import ErrorObject


def value_lines(session: Session) -> list[Line]:
    """Return input, result, error and attempts of the selected row as indented JSON."""
    return _recorded_values(session) or [[Part(f" {_without_values(session)}", "dim")]]


def _without_values(session: Session) -> str:
    if session.cursor != ROOT and session.is_travelling and not session.shown(session.cursor).status.is_terminal:
        return "no values yet: at this moment of the step view the call has not ended"
    return "no values are recorded"


def _recorded_values(session: Session) -> list[Line]:
    subject = session.shown_execution() if session.cursor == ROOT else session.shown(session.cursor)
    lines = _section("input", subject.input) + _result(session) + _error(subject.error)
    if session.cursor != ROOT and subject.result is not None:
        lines += _changes(subject.result, previous_result(session, session.cursor))
    if session.cursor != ROOT:
        for attempt in session.shown(session.cursor).attempts[:-1]:
            lines += _section(f"result of attempt {attempt.number}", attempt.result)
            lines += _error(attempt.error, f"error of attempt {attempt.number}")
    return lines


def _result(session: Session) -> list[Line]:
    if session.cursor == ROOT:
        return _section("result", session.shown_execution().result)
    operation = session.shown(session.cursor)
    words = result_words(operation)
    return _section("result", operation.result) if not words else [[Part(" result  ", "title"), Part(words)], []]


WIDTH = 96
"""Members of a variable are on lines of their own where its text is longer."""


def variable_lines(session: Session) -> list[Line]:
    """Return the variables at the current line or call in full, with nested values indented, and then the call's values."""
    values, changed = variables(session)
    lines: list[Line] = []
    for name, text in values.items():
        first, *rest = expanded(text, WIDTH)
        lines.append(
            [Part(" * " if name in changed else "   ", "accent"), Part(f"{safe(name)}  ", "key"), Part(safe(first))]
        )
        lines += [[Part(f"   {safe(line)}")] for line in rest]
    head: list[Line] = [[Part(" variables", "title"), Part("  * changed by the step before" if changed else "", "dim")]]
    more: list[Line] = (
        [[Part("   : evaluates an expression, for what is nested deeper", "dim")]] if session.lines else []
    )
    return [*head, *lines, *more, [], *_recorded_values(session)] if lines else value_lines(session)


def _section(name: str, payload: str | None) -> list[Line]:
    if payload is None:
        return []
    head: Line = [Part(f" {name}  ", "title"), Part(payloads.size(len(payload)), "dim")]
    return [head, *([Part(f"   {text}")] for text in payloads.pretty(payload)), []]


def _changes(payload: str, previous: Previous | None) -> list[Line]:
    """Return the differences from the previous value."""
    found = changes(payloads.pretty(previous.payload), payloads.pretty(payload)) if previous is not None else []
    if previous is None or not found:
        return []
    looks = {"-": (glyphs.RECORDED, "recorded"), "+": (glyphs.REPLAYED, "replayed")}
    lines: list[Line] = [[Part(" changed  ", "title"), Part(f"since {safe(previous.whose)}", "dim")]]
    lines += [[Part(f" {looks[sign][0]} {text}", looks[sign][1])] for sign, text in found]
    return [*lines, []]


def _error(error: ErrorObject | None, name: str = "error") -> list[Line]:
    if error is None:
        return []
    lines: list[Line] = [[Part(f" {name}  ", "title"), Part(safe(error.type or ""), "fail")]]
    lines += [[Part(f"   {safe(text)}", "fail")] for text in (error.message or "").splitlines()]
    lines += [[Part(f"   {text}")] for text in (payloads.pretty(error.data) if error.data else [])]
    frames = [text for entry in error.stack_trace or () for text in str(entry).splitlines()]
    return [*lines, *([Part(f"   {safe(frame)}", "dim")] for frame in frames), []]


MAX_LINES = 2_000
"""Values longer than this are not compared line by line."""


def changes(before: list[str], after: list[str]) -> list[tuple[str, str]]:
    """Return the differing lines in order, each with `-` or `+`; none when there are too many lines to compare."""
    if max(len(before), len(after)) > MAX_LINES:
        return []
    found: list[tuple[str, str]] = []
    for tag, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            found += [("-", text) for text in before[start:end]]
            found += [("+", text) for text in after[new_start:new_end]]
    return found
