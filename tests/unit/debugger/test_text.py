"""Text in cells: what people's payloads hold must not break a column or drive the terminal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from durable_debugger.model.facts import State
from durable_debugger.text import cells, durations, glyphs, payloads
from durable_debugger.text.segments import Part, fit, flush, line_width, plain

ANYTHING = st.text(max_size=60)


@given(ANYTHING)
def test_safe_text_has_the_width_the_terminal_library_gives_it(text: str) -> None:
    assert cells.width(cells.safe(text)) == cell_len(cells.safe(text))


@given(ANYTHING)
def test_safe_text_can_be_made_safe_again_and_holds_no_control_characters(text: str) -> None:
    safe = cells.safe(text)
    assert cells.safe(safe) == safe
    assert safe.isprintable()


@given(ANYTHING, st.integers(0, 80))
def test_padding_fills_exactly_and_cutting_never_exceeds(text: str, room: int) -> None:
    safe = cells.safe(text)
    assert cells.width(cells.pad(safe, room)) == room
    assert cells.width(cells.pad_left(safe, room)) == room
    assert cells.width(cells.cut(safe, room)) <= room


@given(ANYTHING, st.integers(2, 40))
def test_wrapping_keeps_every_word_and_no_line_is_too_long(text: str, room: int) -> None:
    safe = " ".join(cells.safe(text).split())
    lines = cells.wrap(safe, room)
    assert all(cells.width(line) <= room for line in lines)
    assert "".join(lines).replace(" ", "") == safe.replace(" ", "")


def test_code_that_is_too_wide_for_a_line_goes_on_after_punctuation() -> None:
    assert cells.wrap("use StepConfig(retry_strategy=RetryPresets.critical())", 46) == [
        "use",
        "StepConfig(retry_strategy=RetryPresets.",
        "critical())",
    ]
    assert cells.wrap("a" * 12, 5) == ["aaaaa", "aaaaa", "aa"]


def test_an_ellipsis_marks_what_has_no_room() -> None:
    assert cells.wrap_most("one two three four", 9, 2) == ["one two", "three fo…"]
    assert cells.wrap_most("one two three", 9, 2) == ["one two", "three"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\e[31mred\\e[0m"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202eevil", "\\u202eevil"),
        ("👩\u200d👩\u200d👧", "👩👩👧"),
        ("[/b] [bold]", "[/b] [bold]"),
        ("日本", "日本"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text: str, shown: str) -> None:
    assert cells.safe(text) == shown


@given(st.lists(st.tuples(ANYTHING, st.just("text")), max_size=6), st.integers(0, 60))
def test_a_line_fits_exactly(parts: list[tuple[str, str]], room: int) -> None:
    line = [Part(cells.safe(text), role) for text, role in parts]
    assert line_width(fit(line, room)) == room


def test_what_stands_at_the_right_stays_when_there_is_no_room() -> None:
    assert plain(flush([Part("a long left side")], [Part("right")], 12)) == "a lon… right"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "—"), (0, "0ms"), (0.12, "120ms"), (0.9996, "1.0s"), (6.1, "6.1s"), (59.96, "01:00"), (161, "02:41"),
        (3600, "1h 00m"), (86400, "1d 0h"), (-1, "0ms"),
    ],
)  # fmt: skip
def test_durations_are_short(seconds: Any, shown: str) -> None:
    assert durations.short(seconds) == shown
    assert len(shown) <= 7


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "00:00.0"), (41.2, "00:41.2"), (59.99, "01:00.0"), (3723, "1:02:03"), (183600, "2d 03:00")],
)
def test_points_in_time_read_like_a_clock(seconds: Any, shown: str) -> None:
    assert durations.offset(seconds) == shown


def test_every_state_differs_from_the_others_in_plain_text() -> None:
    for translate in (str, glyphs.to_ascii):
        shown = [translate(state.glyph) for state in State]
        assert len(set(shown)) == len(shown)
        assert all(cells.width(glyph) == 1 for glyph in shown)
    assert all(glyphs.to_ascii(state.glyph).isascii() for state in State)


@given(ANYTHING)
def test_ascii_takes_the_same_cells(text: str) -> None:
    safe = cells.safe(text)
    assert glyphs.to_ascii(safe).isascii()
    assert cells.width(glyphs.to_ascii(safe)) == cells.width(safe)


@given(st.text(max_size=300), st.integers(4, 60))
def test_payloads_of_any_text_have_a_summary_and_can_be_shown_in_full(payload: str, room: int) -> None:
    assert cells.width(payloads.summary(payload, room)) <= room
    assert all(line.isprintable() for line in payloads.pretty(payload))


def test_a_huge_payload_is_not_taken_apart() -> None:
    huge = '{"a": "' + "x" * 1_000_000 + '"}'
    assert cells.width(payloads.summary(huge, 40)) == 40
    assert "more characters" in payloads.pretty(huge)[-1]


def test_json_is_indented_and_text_in_json_keeps_its_lines() -> None:
    assert payloads.pretty('{"a": [1, "é"]}') == ["{", '  "a": [', "    1,", '    "é"', "  ]", "}"]
    assert payloads.pretty('"line one\\nline two"') == ["line one", "line two"]
