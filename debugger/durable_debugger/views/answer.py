"""The answer for an execution without a difference: what failed or what it waits for, where, why, and what to do.

It stands at the top of the first screen's facts, so that someone who has never seen the execution needs no key.
"""

import ast
from collections.abc import Iterator

from durable_debugger.model import facts
from durable_debugger.model.facts import State
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.sources.code import SourceTexts
from durable_debugger.text import durations, payloads
from durable_debugger.text.cells import cut, safe, wrap_most
from durable_debugger.text.segments import Line, Part
from durable_debugger.text.source_path import near, site_words
from durable_debugger.views.results import result_summary
from durable_execution.call_site import CallSite
from durable_execution.counts import counted
from durable_execution.explain import explain_execution
from durable_execution.explain.explanation import Explanation
from durable_execution.explain.user_code import site_of_error, sites_of_error
from durable_execution.history.recorded import RecordedOperation
from durable_execution.protocol import ErrorObject, OperationType

LABEL = 10
MAX_VALUES = 3
INPUT = 0
"""The line of a name that is the function's first argument."""
MAX_MESSAGE = 2
CRITICAL, PATIENT = 10, "StepConfig(retry_strategy=RetryPresets.critical())"
"""A strategy to suggest, and its number of attempts: a step that had as many needs a different one."""
LEAST = ("called code", "tried", "since", "value")
"""Lines of the answer that may follow its fix where a window has too few rows, the least important first."""

STOPPED = "it was stopped from outside: its code did not fail"
RESTARTED = "start a new execution, if it was stopped by mistake"
NO_FUNCTION = frozenset({"ResourceNotFoundException", "ResourceNotFound"})
"""Errors of an invoke whose function does not exist."""


def answer_lines(
    session: Session, cells: int, texts: SourceTexts | None = None, *, rows: int | None = None
) -> list[Line]:
    """Return the answer, where the selected row is the one that explains how the execution stands.

    Args:
        session: The session.
        cells: Width.
        texts: Finds the source of a line; None shows places only.
        rows: Lines that can be seen at once: what is least important comes after the fix if they are too few.
    """
    if session.is_travelling or session.cursor != session.headline.row or session.marks.root_count:
        return []
    state = session.status
    if state is State.SUCCEEDED:
        return []
    answer = _Answer(session, max(cells - LABEL - 2, 20), texts)
    is_over = state.is_failure or state is State.CANCELLED
    lines = answer.ended() if is_over else answer.open()
    return lines if rows is None else answer.fitted(rows)


class _Answer:
    def __init__(self, session: Session, room: int, texts: SourceTexts | None) -> None:
        self.session, self.room, self.texts = session, room, texts
        self.operation = None if session.cursor == ROOT else session.operations[session.cursor]
        self.lines: list[Line] = []
        self._labels: list[str] = []

    def fitted(self, rows: int) -> list[Line]:
        """The lines with the fix among the first `rows`: what is least important follows it, if it must."""
        least = [at for word in LEAST for at, label in reversed(list(enumerate(self._labels))) if label == word]
        moved = sorted(least[: max(len(self.lines) - rows, 0)])
        return [*(line for at, line in enumerate(self.lines) if at not in moved), *(self.lines[at] for at in moved)]

    def ended(self) -> list[Line]:
        """An execution that failed, timed out or was stopped."""
        operation = self.operation
        if operation is not None and not operation.status.is_terminal:
            return self._cut_off(operation)
        error = operation.error if operation is not None else self.session.execution.error
        if error is not None:
            self._add("error", safe(str(error)), "fail", most=MAX_MESSAGE)
        site = site_of_error(error, self.session.own_files)
        if site is not None:
            outside = "" if operation is not None else ", outside any step"
            self._add("raised", f"{site_words(site)}{outside}", code=self._code(site, error))
        if operation is not None and operation.call_site is not None and operation.call_site != site:
            self._add("called", site_words(operation.call_site), code=self._code(operation.call_site, None))
        if operation is None or operation.type is OperationType.CONTEXT:
            self._from(error)
            self._values(error)
        if operation is not None:
            self._tried(operation)
        self._add("likely", self._why(operation, error))
        self._add("fix", self._cure(operation, error, site))
        return self.lines

    def _cut_off(self, operation: RecordedOperation) -> list[Line]:
        """An execution that was stopped, or whose time limit passed, while a call had not ended."""
        execution = self.session.execution
        if operation.call_site is not None:
            self._add("called", site_words(operation.call_site), code=self._code(operation.call_site, None))
        self._last_error(operation)
        if execution.status == "STOPPED":
            self._add("likely", STOPPED)
            self._add("fix", RESTARTED)
            return self.lines
        took = durations.between(execution.started_at, execution.ended_at)
        limit = f" of {durations.short(took)}" if took is not None else ""
        left = durations.between(execution.ended_at, facts.due_at(operation))
        due = f", which was due {durations.short(left)} later" if left is not None and left > 0 else ""
        label, is_retried = facts.label(operation), facts.state(operation) is State.RETRYING
        what = f"the next attempt of {label}" if is_retried else f"{facts.kind(operation)} {label} ended"
        self._add("likely", f"the time limit{limit} for the whole execution passed before {what}{due}")
        for one in explain_execution(execution, as_of=self.session.as_of).advice:
            self._add("fix", f"{safe(one.text)}; this execution has ended, so start a new one")
        return self.lines

    def open(self) -> list[Line]:
        """An execution that runs or waits."""
        operation = self.operation
        if operation is None:
            return self._advised()
        if operation.call_site is not None:
            self._add("called", site_words(operation.call_site), code=self._code(operation.call_site, None))
        started = durations.stamp(operation.started_at)
        self._add("since", started)
        due = facts.due_at(operation)
        if due is not None:
            self._add("until", durations.stamp(due))
        self._last_error(operation)
        return self._advised(operation)

    def _last_error(self, operation: RecordedOperation) -> None:
        """The error of the last attempt that failed."""
        last = next((one.error for one in reversed(operation.attempts) if one.error is not None), None)
        if last is not None:
            self._add("error", safe(str(last)), "fail", most=MAX_MESSAGE)
            site = site_of_error(last, self.session.own_files)
            if site is not None:
                self._add("raised", site_words(site), code=self._code(site, last))
            self._tried(operation)

    def _advised(self, operation: RecordedOperation | None = None) -> list[Line]:
        found = explain_execution(self.session.execution, as_of=self.session.as_of)
        self._add("likely", self._holds(operation, found))
        if not found.advice:
            self._add("fix", self._continues(operation))
        for number, one in enumerate(found.advice):
            self._add("fix" if not number else "or", safe(one.text))
            if one.command:
                self._add("", safe(one.command), "accent")
        return self.lines

    def _holds(self, operation: RecordedOperation | None, found: Explanation) -> str:
        """Why it does not go on."""
        if self.session.execution.status in ("PAUSED", "PAUSING"):
            return "it was paused from outside: nothing in its code holds it"
        if operation is not None and facts.is_polling(operation):
            last = operation.attempts[-1].result if operation.attempts else None
            seen = f": the last poll returned {payloads.summary(last, self.room)}" if last is not None else ""
            return f"the condition is not met yet{seen}"
        if operation is not None and facts.state(operation) is State.RETRYING:
            return f"the last attempt of {facts.label(operation)} failed, and its retry strategy allows another one"
        if found.causes:
            return safe(found.causes[0])
        return _holds_back(operation) if operation is not None else ""

    def _continues(self, operation: RecordedOperation | None) -> str:
        """What to do about an execution that continues by itself."""
        if operation is None:
            return ""
        if facts.is_polling(operation):
            return "nothing: it polls again by itself; if that goes on too long, look at what the polled system says"
        if facts.state(operation) is State.RETRYING:
            error = next((one.error for one in reversed(operation.attempts) if one.error is not None), None)
            site = site_of_error(error, self.session.own_files)
            where = f"{safe(near(site.file))}:{site.line}" if site is not None else "the step"
            return f"wait for the next attempt; if it fails in the same way, correct {where} and deploy it"
        return "nothing: it continues by itself" if operation.type is OperationType.WAIT else ""

    def _why(self, operation: RecordedOperation | None, error: ErrorObject | None) -> str:
        kind = _kind_of(error)
        if self.session.execution.status == "STOPPED":
            return STOPPED
        if operation is None:
            return (
                f"the handler's own code raised {kind}: it is not in a step, so nothing retries it and the execution ends"
                if error is not None
                else "the error is not recorded"
            )
        if operation.type is OperationType.CALLBACK:
            return (
                "nothing completed the callback in time"
                if facts.state(operation) is State.TIMED_OUT
                else ("the system that received the callback id reported a failure")
            )
        if operation.type is OperationType.CHAINED_INVOKE:
            name = facts.target(operation) or "the invoked function"
            if kind in NO_FUNCTION:
                return f"there is no function {name} where this execution ran, so it was never started"
            return f"{name} failed: its own execution says why"
        if operation.type is OperationType.CONTEXT:
            return f"the code of {facts.label(operation)} raised {kind}: it is not in a step, so nothing retries it"
        count = len(operation.attempts)
        same = len({str(one.error) for one in operation.attempts if one.error is not None}) <= 1
        if count > 1:
            how = "in the same way" if same else "in different ways"
            return f"every attempt failed {how}, and the retry strategy of {facts.label(operation)} allows no more"
        return f"the retry strategy of {facts.label(operation)} does not retry {kind}"

    def _cure(self, operation: RecordedOperation | None, error: ErrorObject | None, site: CallSite | None) -> str:
        where = f"{safe(near(site.file))}:{site.line}" if site is not None else "the code"
        again = "press d to replay it with the corrected code; this execution has ended, so start a new one"
        if self.session.execution.status == "STOPPED":
            return RESTARTED
        if operation is None:
            return f"correct {where}, {again}"
        if operation.type is OperationType.CALLBACK:
            longer = "give the callback a longer timeout, or " if facts.state(operation) is State.TIMED_OUT else ""
            return f"{longer}handle CallbackError around the result; this execution has ended, so start a new one"
        if operation.type is OperationType.CHAINED_INVOKE:
            name = facts.target(operation) or "the invoked function"
            if _kind_of(error) in NO_FUNCTION:
                return f"deploy {name}, or correct the name in the call; this execution has ended, so start a new one"
            return f"correct what {name} does, or handle InvokeError here"
        if operation.type is OperationType.STEP and len(operation.attempts) > 1:
            more = "allow more attempts" if len(operation.attempts) >= CRITICAL else f"allow more: `{PATIENT}`"
            return (
                f"if the cause is transient, {more}; if not, "
                f"correct {where} or handle StepError where the step is called, and {again}"
            )
        return f"correct {where}, or handle the error where it is called; {again}"

    def _tried(self, operation: RecordedOperation) -> None:
        if len(operation.attempts) < 2:
            return
        first, last = operation.attempts[0], operation.attempts[-1]
        seconds = durations.between(first.started_at, last.ended_at or last.started_at)
        delays = {one.next_attempt_delay_seconds for one in operation.attempts if one.next_attempt_delay_seconds}
        apart = f", {durations.short(float(min(delays)))} apart" if len(delays) == 1 else ""
        within = f" in {durations.short(seconds)}" if seconds is not None else ""
        self._add("tried", f"{counted(len(operation.attempts), 'time')}{within}{apart}")

    def _from(self, error: ErrorObject | None) -> None:
        """The line of the handler or branch that called the function that raised."""
        sites = sites_of_error(error, self.session.own_files)
        if len(sites) > 1:
            self._add("from", site_words(sites[0]), code=self._code(sites[0], error))

    def _values(self, error: ErrorObject | None) -> None:
        """The recorded values that the failing line reads, or else the lines that called its function."""
        sites = sites_of_error(error, self.session.own_files)
        said = [text for site in reversed(sites) for text in self._values_at(site, is_outermost=site == sites[0])]
        for text in list(dict.fromkeys(said))[:MAX_VALUES]:
            self._add("value", text)

    def _values_at(self, site: CallSite, *, is_outermost: bool) -> Iterator[str]:
        text = self.texts.get(site.file) if self.texts is not None else None
        if text is None:
            return
        results = self._results(site.file)
        for name, line in assigned_at("\n".join(text.lines), site.line):
            operation = results.get(line)
            if operation is not None:
                value = result_summary(operation, self.room, absent="none")
                yield f"{safe(name)} = {value}, the result of {facts.label(operation)} on line {line}"
            elif line == INPUT and is_outermost and self.operation is None and self.session.execution.input is not None:
                yield f"{safe(name)} = {payloads.summary(self.session.execution.input, self.room)}, the input"

    def _results(self, file: str) -> dict[int, RecordedOperation]:
        """The calls of a file with a recorded result, by line: those in the failed context, or else those in no branch."""
        known = self.session.rows
        inside = {self.operation.id} if self.operation is not None else set()
        found: dict[int, RecordedOperation] = {}
        for one in self.session.operations:
            if one.parent_id in inside:
                inside.add(one.id)
            elif self.operation is not None or (one.parent_id in known and one.is_branch):
                continue
            if one.call_site is not None and one.call_site.file == file and one.result is not None:
                found[one.call_site.line] = one
        return found

    def _code(self, site: CallSite, error: ErrorObject | None) -> str:
        """The text of a line: as recorded with the error, else as it is on this computer."""
        head = f"{site.file}:{site.line} in "
        for frame in reversed(error.stack_trace or () if error is not None else ()):
            _, mark, code = str(frame).partition(": ")
            if str(frame).startswith(head) and mark:
                return safe(code.strip())
        text = self.texts.shown(site.file, self.session.secrets) if self.texts is not None else None
        return safe(text.lines[site.line - 1].strip()) if text is not None and 0 < site.line <= len(text.lines) else ""

    def _add(self, label: str, text: str, role: str = "text", *, code: str = "", most: int = 8) -> None:
        if not text:
            return
        pieces = wrap_most(text, self.room, most)
        for number, piece in enumerate(pieces):
            self.lines.append([Part(f"{label.capitalize() if not number else '':<{LABEL}}", "key"), Part(piece, role)])
        if code:
            self.lines.append([Part(" " * LABEL, "key"), Part(cut(f"  {code}", self.room), "name")])
        self._labels += [*([label] * len(pieces)), *([f"{label} code"] if code else [])]


def _holds_back(operation: RecordedOperation) -> str:
    match operation.type:
        case OperationType.CALLBACK:
            return "the system that received the callback id has not answered yet"
        case OperationType.CHAINED_INVOKE:
            return f"{facts.target(operation) or 'the invoked function'} has not ended: look at its execution"
        case OperationType.WAIT:
            return "nothing is wrong: the timer has not ended"
        case _ if facts.state(operation) is State.RUNNING:
            return "the code is running: it has not reported an end"
        case _:
            return ""


def assigned_at(source: str, line: int) -> list[tuple[str, int]]:
    """Return the names that a line reads, each with the nearest line above that assigns it in the same function.

    The function's first argument, where nothing assigns it, is at line `INPUT`.

    Args:
        source: Text of the file.
        line: The line, from 1.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    functions = [one for one in ast.walk(tree) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
    around = [one for one in functions if one.lineno <= line <= (one.end_lineno or one.lineno)]
    if not around:
        return []
    scope = max(around, key=lambda one: one.lineno)
    names = sorted(_own_names(scope), key=lambda one: (one.lineno, one.col_offset))
    reads = dict.fromkeys(one.id for one in names if one.lineno == line and isinstance(one.ctx, ast.Load))
    arguments = [*scope.args.posonlyargs, *scope.args.args][:1]
    found: list[tuple[str, int]] = []
    for name in reads:
        lines = [one.lineno for one in names if one.id == name and isinstance(one.ctx, ast.Store) and one.lineno < line]
        first = [INPUT] if any(one.arg == name for one in arguments) else []
        found += [(name, max(lines or first))] if lines or first else []
    return found


def _own_names(scope: ast.AST) -> Iterator[ast.Name]:
    """The names in a function, without those of functions inside it."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.Name):
            yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield from _own_names(node)


def _kind_of(error: ErrorObject | None) -> str:
    return safe((error.type or "an error").rpartition(".")[2]) if error is not None else "an error"
