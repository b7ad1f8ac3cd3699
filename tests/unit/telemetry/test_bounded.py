"""Whatever a name or a value is, a backend can store it."""

from hypothesis import given
from hypothesis import strategies as st

from durable_execution.telemetry.bounded import (
    MAX_NAME,
    MAX_TEXT,
    MAX_VALUE,
    bounded,
    bounded_name,
    bounded_trace,
)

ANYTHING = st.text(st.characters(codec=None, categories=None))
"""Lone surrogates included: they cannot be encoded, and would take a whole batch with them."""


@given(ANYTHING)
def test_names_are_one_printable_line(text: str) -> None:
    name = bounded_name(text)
    assert len(name) <= MAX_NAME
    assert name.encode("utf-8")
    assert not any(character < " " or character == "\x7f" for character in name)


@given(ANYTHING)
def test_values_can_be_encoded(text: str) -> None:
    value = bounded(text)
    assert len(value) <= MAX_VALUE
    value.encode("utf-8")
    assert "\x00" not in value


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=MAX_NAME))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert bounded(text) == text
    assert bounded_name(text) == (text or "\ufffd")


def test_a_megabyte_becomes_a_line() -> None:
    assert len(bounded_name("x" * 1_000_000)) == MAX_NAME
    assert len(bounded("x" * 1_000_000)) == MAX_VALUE


def test_a_stack_keeps_both_its_ends() -> None:
    stack = "Traceback\n" + "frame\n" * 100_000 + "ValueError: no"
    shown = bounded_trace(stack)
    assert len(shown) <= MAX_TEXT
    assert shown.startswith("Traceback\n")
    assert shown.endswith("ValueError: no")


def test_line_breaks_and_wide_spaces_stay_in_values() -> None:
    assert bounded("a\n\tb\u3000c") == "a\n\tb\u3000c"
