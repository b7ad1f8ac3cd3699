"""All facts about the selected call, most important first."""

from collections.abc import Iterable, Sequence

from durable_debugger.model import facts
from durable_debugger.model.facts import State
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.sources.code import SourceTexts
from durable_debugger.text import durations, payloads
from durable_debugger.text.cells import cut, safe, wrap, wrap_most
from durable_debugger.text.segments import Line, Part, line
from durable_debugger.text.source_path import nearer, site_words
from durable_debugger.views.answer import answer_lines
from durable_debugger.views.diff import why_lines
from durable_debugger.views.results import early_end, result_words
from durable_execution.counts import counted
from durable_execution.history.recorded import RecordedAttempt, RecordedOperation
from durable_execution.protocol import ErrorObject, OperationType

LABEL_WIDTH = 10
MAX_ERROR_LINES = 4
MAX_STACK_LINES = 40
MAX_ATTEMPTS = 12


def inspector_lines(
    session: Session, cells: int, texts: SourceTexts | None = None, *, rows: int | None = None
) -> list[Line]:
    """Return facts about the selected row, wrapped to a width; first those that answer how the execution stands.

    Args:
        session: The session.
        cells: Width.
        texts: Finds the source of a line; None leaves the source out.
        rows: Lines that can be seen at once; None for any number.
    """
    operation = session.shown(session.cursor) if session.cursor != ROOT else None
    answer = answer_lines(session, cells, texts, rows=rows - 1 if rows is not None else None)
    lines = _execution(session, answer, cells) if operation is None else _operation(session, operation, answer, cells)
    return [[Part(" "), *each] for each in lines]


def _operation(session: Session, operation: RecordedOperation, answer: list[Line], cells: int) -> list[Line]:
    state = session.state(session.cursor)
    room = cells - LABEL_WIDTH - 2
    lines = [*_headline(session, operation, state, cells), *answer]
    lines += [] if answer else _error(operation.error, room)
    lines += _waiting(session, operation)
    if operation.type is OperationType.CHAINED_INVOKE or operation.input is not None:
        lines.append(_payload("input", operation.input, room, operation.details.get("input_truncated")))
    if _has_result(operation):
        lines += _result(operation, room)
    lines += _fact("code", site_words(operation.call_site) if operation.call_site and not answer else "", room)
    lines += _who(operation, room)
    lines += _times(session, operation, room)
    lines += _attempts(operation, cells)
    lines += _details(operation, room)
    lines += _fact("path", operation.path, room)
    lines += _fact("id", operation.id, room)
    if operation.parent_id:
        lines += _fact("parent", operation.parent_id, room)
    lines += _fact("events", _numbers(operation.events), room)
    lines += _stack(operation.error, room)
    return lines


def _has_result(operation: RecordedOperation) -> bool:
    return operation.status.is_terminal and operation.error is None and operation.type is not OperationType.WAIT


def _headline(session: Session, operation: RecordedOperation, state: State, cells: int) -> list[Line]:
    mark = session.mark(session.cursor)
    subtype = f" · {safe(operation.subtype)}" if operation.subtype else ""
    head = line((f"{state.glyph} {state.word}", state.role), (f"   {operation.type}{subtype}", "dim"))
    seconds = facts.duration(operation)
    if seconds is not None:
        head.append(Part(f"   {durations.short(seconds)}"))
    if mark is not None and mark.is_root:
        return [*_unindented(why_lines(mark.divergence, None, cells)), head]
    if mark is not None:
        return [head, line(("≈ follow-on   ", "follow_on"), (mark.note, "follow_on"))]
    return [head]


def _unindented(lines: list[Line]) -> list[Line]:
    return [[Part(parts[0].text.removeprefix(" "), parts[0].role), *parts[1:]] for parts in lines]


def _payload(
    name: str, payload: str | None, room: int, is_truncated: object = None, *, absent: str = "not recorded"
) -> Line:
    absent = "truncated: read the history with IncludeExecutionData" if is_truncated else absent
    role = "text" if payload is not None else "dim"
    size = f"  {payloads.size(len(payload))}" if payload is not None and len(payload) > room else ""
    text = payloads.summary(payload, room - len(size), absent=absent)
    return [*_label(name), Part(text, role), Part(size, "dim")]


def _result(operation: RecordedOperation, room: int) -> list[Line]:
    words = result_words(operation)
    if words:
        return _fact("result", words, room)
    result = _payload("result", operation.result, room, operation.details.get("result_truncated"), absent="none")
    return [result, *_fact("ended", early_end(operation) and f"early: {early_end(operation)}", room)]


def _error(error: ErrorObject | None, room: int) -> list[Line]:
    if error is None:
        return []
    return _block("error", wrap_most(safe(str(error)), room, MAX_ERROR_LINES), "fail")


def _stack(error: ErrorObject | None, room: int) -> list[Line]:
    if error is None:
        return []
    lines: list[Line] = []
    if error.data:
        lines.append(_payload("data", error.data, room))
    if error.stack_trace:
        frames = [safe(nearer(each)) for text in error.stack_trace for each in str(text).splitlines()]
        lines += _block("stack", [cut(frame, room) for frame in frames[:MAX_STACK_LINES]], "dim")
    return lines


def _waiting(session: Session, operation: RecordedOperation) -> list[Line]:
    lines: list[Line] = []
    due = facts.due_at(operation)
    if due is not None and facts.state(operation) in (State.WAITING, State.RETRYING):
        left = durations.between(session.as_of, due)
        text = durations.stamp(due) + (f"  in {durations.short(left)}" if left is not None and left > 0 else "")
        lines.append([*_label("due"), Part(text, "wait")])
    callback = operation.details.get("callback_id")
    if callback:
        lines.append([*_label("callback"), Part(safe(str(callback)))])
    return lines


def _who(operation: RecordedOperation, room: int) -> list[Line]:
    executed = _numbers(operation.executed_by) or "—"
    replayed = _numbers(operation.replayed_by)
    text = f"executed in invocation {executed}"
    if replayed:
        text += f", replayed in {replayed}"
    return _fact("ran", text, room)


def _times(session: Session, operation: RecordedOperation, room: int) -> list[Line]:
    started = durations.between(session.execution.started_at, operation.started_at)
    ended = durations.between(session.execution.started_at, operation.ended_at)
    offsets = f"{durations.offset(started)} → {durations.offset(ended)}"
    return [
        *_fact("time", offsets, room),
        *_fact("started", durations.stamp(operation.started_at), room),
        *_fact("ended", durations.stamp(operation.ended_at), room),
    ]


def _attempts(operation: RecordedOperation, cells: int) -> list[Line]:
    if not operation.attempts:
        return []
    count = len(operation.attempts)
    if count == 1 and operation.attempts[0].outcome == "SUCCEEDED":
        return [[*_label("attempts"), Part("1")]]
    lines = [[*_label("attempts"), Part(str(count))]]
    shown = operation.attempts[-MAX_ATTEMPTS:]
    if len(shown) < count:
        lines.append([*_label(""), Part(f"{counted(count - len(shown), 'earlier attempt')} not shown", "dim")])
    return lines + [_attempt(attempt, cells - LABEL_WIDTH - 2) for attempt in shown]


def _attempt(attempt: RecordedAttempt, room: int) -> Line:
    glyph, role = {
        "SUCCEEDED": ("✓", "ok"),
        "FAILED": ("✗", "fail"),
        "INCOMPLETE": ("⊘", "off"),
    }.get(attempt.outcome or "", ("▸", "run"))
    seconds = durations.between(attempt.started_at, attempt.ended_at)
    text = f" {attempt.number}  {durations.short(seconds):>7}"
    if attempt.invocation is not None:
        text += f"  inv {attempt.invocation}"
    if attempt.next_attempt_delay_seconds is not None:
        text += f"  again after {durations.short(float(attempt.next_attempt_delay_seconds))}"
    if attempt.outcome == "INCOMPLETE":
        text += "  interrupted, ran again"
    tail = safe(str(attempt.error)) if attempt.error else payloads.summary(attempt.result, 60, absent="")
    return [*_label(""), Part(glyph, role), Part(cut(f"{text}  {tail}".rstrip(), room - 1))]


SHOWN_DETAILS = {
    "duration_seconds": "waits",
    "timeout_seconds": "timeout",
    "heartbeat_timeout_seconds": "heartbeat",
    "function_name": "function",
    "child_execution_arn": "child",
    "tenant_id": "tenant",
    "executed_version": "version",
    "replay_children": "",
}


def _details(operation: RecordedOperation, room: int) -> list[Line]:
    lines: list[Line] = []
    for key, name in SHOWN_DETAILS.items():
        value = operation.details.get(key)
        if value is None:
            continue
        if key == "replay_children":
            lines += _fact("note", "the result exceeds the checkpoint limit: replay runs the body again", room)
        elif key.endswith("_seconds") and isinstance(value, (int, float)):
            lines += _fact(name, durations.short(float(value)), room)
        else:
            lines += _fact(name, str(value), room)
    return lines


def _execution(session: Session, answer: list[Line], cells: int) -> list[Line]:
    execution, room = session.shown_execution(), cells - LABEL_WIDTH - 2
    state = session.state(ROOT)
    lines: list[Line] = [line((f"{state.glyph} {state.word}", state.role), (f"   {execution.status}", "dim")), *answer]
    waiting = session.waiting_for() if not session.is_travelling else None
    if waiting is not None:
        lines += _fact("waits for", f"{facts.kind(waiting)} {facts.label(waiting)}", room)
        lines += _waiting(session, waiting)
    lines += [] if answer else _error(execution.error, room)
    lines += _stack(execution.error, room)
    lines.append(_payload("input", execution.input, room))
    if execution.ended_at is not None and execution.error is None:
        lines.append(_payload("result", execution.result, room))
    lines += _fact("started", durations.stamp(execution.started_at), room)
    lines += _fact("ended", durations.stamp(execution.ended_at), room)
    lines += _fact("name", execution.name or "", room)
    lines += _fact("id", execution.id or "", room)
    lines += _fact("function", execution.function_name or "", room)
    lines += _fact("handler", execution.handler or "", room)
    lines += _fact("arn", execution.arn or "", room)
    lines += _fact("from", session.origin, room)
    lines += _fact("events", f"{len(execution.events):,}", room)
    lines += _fact(
        "traces",
        counted(len(execution.traces), "replay trace") if execution.traces else "no replay trace",
        room,
    )
    lines += _invocations(session)
    for note in execution.notes:
        lines += _fact("note", note, room)
    return lines


def _invocations(session: Session) -> list[Line]:
    lines: list[Line] = []
    for index, each in enumerate(session.shown_execution().invocations[:200]):
        seconds = durations.between(each.started_at, each.ended_at)
        outcome = (each.outcome or "running").lower()
        text = f"{each.number:>3}  {durations.short(seconds):>7}  {outcome:<9}  {each.request_id or ''}"
        if each.is_inferred:
            text += "(inferred)"
        lines.append([*_label("runs" if not index else ""), Part(text.rstrip())])
        if each.error is not None:
            lines.append([*_label(""), Part(f"     {safe(str(each.error))}", "fail")])
    return lines


def _fact(name: str, value: str, room: int, role: str = "text") -> list[Line]:
    if not value:
        return []
    return _block(name, wrap(safe(value), room), role)


def _block(name: str, texts: Sequence[str], role: str) -> list[Line]:
    return [[*_label(name if not index else ""), Part(text, role)] for index, text in enumerate(texts)]


def _label(name: str) -> Line:
    return [Part(f"{name:<{LABEL_WIDTH}}", "key")]


def _numbers(numbers: Iterable[int]) -> str:
    """Format numbers with consecutive ones joined: `1, 3-7`."""
    texts: list[str] = []
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            texts.append(_run(run))
            run = []
        run = [run[0], number] if run else [number]
    return ", ".join([*texts, _run(run)] if run else texts)


def _run(run: Sequence[int]) -> str:
    if run[-1] - run[0] < 2:
        return ", ".join(map(str, dict.fromkeys((run[0], run[-1]))))
    return f"{run[0]}-{run[-1]}"
