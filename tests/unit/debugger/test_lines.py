"""Moving over the lines of a replay, forwards and backwards."""

import pytest

from durable_debugger.model.line_playback import LinePlayback
from durable_debugger.model.line_settings import Breakpoint
from durable_debugger.text.payloads import expanded
from durable_execution.replay.lines.line_recording import EventKind, Frame, LineEvent, LineRecording

CALL, LINE, OPERATION = EventKind.CALL, EventKind.LINE, EventKind.OPERATION
EXCEPTION, RETURN, SUSPEND, RESUME = EventKind.EXCEPTION, EventKind.RETURN, EventKind.SUSPEND, EventKind.RESUME

FRAMES = (
    Frame(0, "flow.py", "handler", 10, None, None, "handler"),
    Frame(1, "flow.py", "price", 1, 0, 3, "handler"),
    Frame(2, "flow.py", "branch", 30, None, None, "handler/all#0"),
)
EVENTS = (
    LineEvent(CALL, 0, 10, {"order": "{}"}),
    LineEvent(LINE, 0, 11),
    LineEvent(OPERATION, 0, 11, text="reserve"),
    LineEvent(LINE, 0, 12, {"stock": "'A1'"}),
    LineEvent(CALL, 1, 1, {"sku": "'A1'"}),
    LineEvent(LINE, 1, 2),
    LineEvent(LINE, 1, 3, {"cost": "5"}),
    LineEvent(RETURN, 1, 3, text="5"),
    LineEvent(LINE, 0, 13, {"cost": "5"}),
    LineEvent(OPERATION, 0, 13, text="all"),
    LineEvent(SUSPEND, 0, 13),
    LineEvent(CALL, 2, 30),
    LineEvent(LINE, 2, 31),
    LineEvent(RESUME, 0, 13),
    LineEvent(LINE, 0, 14, {"stock": None}),
    LineEvent(EXCEPTION, 0, 14, text="ValueError('A1')"),
)
ROWS = {"reserve": 0, "all": 1}


@pytest.fixture
def lines() -> LinePlayback:
    return LinePlayback(LineRecording(FRAMES, EVENTS), ROWS)


def at(lines: LinePlayback, found: int | None) -> int:
    """Go to a position, and return its line."""
    assert found is not None
    lines.position = found
    return lines.event.line


def test_over_stays_in_the_function_and_its_task_and_comes_back_the_same_way(lines: LinePlayback) -> None:
    assert lines.event.line == 11
    assert [at(lines, lines.over(1)) for _ in range(4)] == [12, 13, 14, 14]
    assert lines.over(1) is None
    assert [at(lines, lines.over(-1)) for _ in range(4)] == [14, 13, 12, 11]
    assert lines.over(-1) is None


def test_into_a_call_and_out_of_it_in_both_directions(lines: LinePlayback) -> None:
    at(lines, lines.over(1))
    assert at(lines, lines.into(1)) == 2
    assert lines.frame.function == "price"
    assert [frame.function for frame in lines.stack()] == ["handler", "price"]
    assert at(lines, lines.out(1)) == 13
    assert at(lines, lines.into(-1)) == 3
    assert at(lines, lines.out(-1)) == 12


def test_the_end_of_a_function_leads_to_its_caller(lines: LinePlayback) -> None:
    at(lines, lines.to_line("flow.py", 3, 1))
    assert at(lines, lines.over(1)) == 13


def test_a_branch_is_another_task(lines: LinePlayback) -> None:
    assert lines.tasks() == ["handler", "handler/all#0"]
    assert at(lines, lines.other_task(1)) == 31
    assert lines.over(1) is None
    assert lines.other_task(1) is None
    assert at(lines, lines.other_task(-1)) in (13, 14)


def test_variables_are_those_before_the_line_and_marked_when_they_changed(lines: LinePlayback) -> None:
    assert lines.locals() == {"order": "{}"}
    at(lines, lines.over(1))
    assert lines.locals() == {"order": "{}", "stock": "'A1'"}
    assert lines.changed() == {"stock"}
    at(lines, lines.to_line("flow.py", 14, 1))
    assert "stock" not in lines.locals()
    at(lines, lines.first())
    assert lines.locals() == {"order": "{}"}


def test_a_line_knows_the_call_it_makes(lines: LinePlayback) -> None:
    assert lines.row == 0
    at(lines, lines.to_line("flow.py", 3, 1))
    assert lines.row == 0, "the last call before a line that makes none"
    at(lines, lines.over(1))
    assert lines.row == 1
    assert lines.call_of("all") == lines.position
    assert lines.call_of("unknown") is None


def test_stops_are_breakpoints_raised_exceptions_and_differences(lines: LinePlayback) -> None:
    assert lines.settings.toggle(("flow.py", 3))
    assert at(lines, lines.to_stop(1)) == 3
    assert at(lines, lines.to_stop(1)) == 14
    assert lines.event.kind is EXCEPTION
    assert lines.to_stop(1) is None
    assert at(lines, lines.to_stop(-1)) == 3
    assert not lines.settings.toggle(("flow.py", 3))
    divergent = LinePlayback(LineRecording(FRAMES, EVENTS), ROWS, divergent=frozenset({"all"}))
    assert at(divergent, divergent.to_stop(1)) == 13


def test_an_exception_stops_where_it_is_raised_and_not_where_it_passes() -> None:
    events = (
        LineEvent(LINE, 0, 12),
        LineEvent(CALL, 1, 1),
        LineEvent(LINE, 1, 2),
        LineEvent(EXCEPTION, 1, 2, text="ValueError('A1')"),
        LineEvent(EventKind.UNWIND, 1, 2),
        LineEvent(EXCEPTION, 0, 12, text="ValueError('A1')"),
        LineEvent(LINE, 0, 13),
        LineEvent(EXCEPTION, 0, 13, text="KeyError('B2')"),
    )
    lines = LinePlayback(LineRecording(FRAMES, events), ROWS)
    assert at(lines, lines.to_stop(1)) == 2
    assert at(lines, lines.to_stop(1)) == 13
    assert lines.to_stop(1) is None
    assert at(lines, lines.to_stop(-1)) == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[1, 2]", ["[1, 2]"]),
        ("'" + "a, [" * 9 + "'", ["'" + "a, [" * 9 + "'"]),
        ("{'a, b': [1, 22222222], 'c': 'it\\'s (', … 40 items}", ["{", "  'a, b': [", "    1,", "    22222222", "  ],", "  'c': 'it\\'s (',", "  … 40 items", "}"]),
        ("Order(id='A1', lines=[Line(sku='B2'), Line(sku='C3')])", ["Order(", "  id='A1',", "  lines=[", "    Line(sku='B2'),", "    Line(sku='C3')", "  ]", ")"]),
        ("[[[[[[" * 9, ["[[[[[[" * 9]),
    ],
)  # fmt: skip
def test_the_text_of_a_value_is_expanded_by_its_structure(text: str, shown: list[str]) -> None:
    assert expanded(text, 20) == shown


def evaluated(values: dict[int, dict[str, str]]) -> LineRecording:
    """The same replay, with values of expressions at some events."""
    events = [event._replace(reads=values.get(index, {})) for index, event in enumerate(EVENTS)]
    return LineRecording(FRAMES, events)


def test_a_condition_stops_only_where_it_is_true(lines: LinePlayback) -> None:
    lines.settings.breakpoints["flow.py", 12] = Breakpoint("stock == 'A1'")
    lines.settings.breakpoints["flow.py", 13] = Breakpoint("stock == 'B2'")
    probes = lines.settings.probes()
    assert [(each.expression, each.line) for each in probes] == [
        ("bool(stock == 'A1')", 12),
        ("bool(stock == 'B2')", 13),
    ]
    values = {3: {"bool(stock == 'A1')": "True"}, 8: {"bool(stock == 'B2')": "False"}}
    assert lines.settings.take(evaluated(values), lines.recording, probes)
    assert at(lines, lines.to_stop(1)) == 12
    assert at(lines, lines.to_stop(1)) == 14, "line 13 ran, but its condition was false"


@pytest.mark.parametrize(
    ("texts", "remark"),
    [
        ([], "line 12 does not run in this replay"),
        (["True", "False", "True"], "stops at line 12 in 2 of 3 runs"),
        (["False"], "the condition is never true at line 12"),
        (["raises NameError: name 'sku' is not defined"], "never stops at line 12: the condition raises NameError: name 'sku' is not defined"),
        (["raises KeyError: 1", "True"], "stops at line 12 in 1 of 2 runs"),
    ],
)  # fmt: skip
def test_what_comes_of_a_condition_is_said(lines: LinePlayback, texts: list[str], remark: str) -> None:
    """A name that is not defined on the line would otherwise look like a condition that is false."""
    lines.settings.breakpoints["flow.py", 12] = Breakpoint("sku == 'A1'")
    lines.settings.values["bool(sku == 'A1')"] = dict(enumerate(texts))
    assert lines.settings.remark(("flow.py", 12)) == remark
    assert lines.settings.remark(("flow.py", 13)) == ""


def test_a_log_expression_shows_its_values_and_does_not_stop(lines: LinePlayback) -> None:
    lines.settings.breakpoints["flow.py", 3] = Breakpoint(log="cost * 2")
    probes = lines.settings.probes()
    assert lines.settings.take(evaluated({6: {"cost * 2": "10"}}), lines.recording, probes)
    assert lines.settings.logged(("flow.py", 3), 0) == (0, "")
    assert lines.settings.logged(("flow.py", 3), 6) == (1, "10")
    assert at(lines, lines.to_stop(1)) == 14


def test_a_watch_has_its_value_at_every_line(lines: LinePlayback) -> None:
    assert lines.settings.toggle_watch("order")
    assert lines.watched() == [("order", None)]
    assert lines.settings.take(
        evaluated({1: {"order": "{}"}, 3: {"order": "{1}"}}), lines.recording, lines.settings.probes()
    )
    assert lines.watched() == [("order", "{}")]
    at(lines, lines.over(1))
    assert lines.watched() == [("order", "{1}")]
    assert not lines.settings.toggle_watch("order")
    assert lines.watched() == []


def test_values_of_a_replay_that_went_elsewhere_are_refused(lines: LinePlayback) -> None:
    lines.settings.toggle_watch("order")
    shorter = LineRecording(FRAMES, EVENTS[:-1])
    assert not lines.settings.take(shorter, lines.recording, lines.settings.probes())


def test_an_expression_evaluated_once_belongs_to_its_line(lines: LinePlayback) -> None:
    lines.settings.once = ("order", lines.line_index(), "{}")
    assert lines.evaluated() == ("order", "{}")
    at(lines, lines.over(1))
    assert lines.evaluated() is None


def test_each_task_stands_at_the_line_it_ran_last(lines: LinePlayback) -> None:
    at(lines, lines.last())
    assert lines.line_of_task("handler/all#0").line == 31


def test_the_cancellation_that_ends_a_replay_is_no_stop() -> None:
    ended = LinePlayback(
        LineRecording(FRAMES, (*EVENTS[:-1], LineEvent(EXCEPTION, 0, 14, text="CancelledError()"))), ROWS
    )
    assert ended.to_stop(1) is None


def test_a_replay_that_ran_no_user_code_has_no_lines() -> None:
    empty = LinePlayback(LineRecording(), {})
    assert len(empty) == 0
    assert empty.first() is None
