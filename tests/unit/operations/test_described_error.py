"""Tracebacks as they are stored: the user's frames, and never too long."""

import json

import pytest

from durable_execution.operations.lifecycle import MAX_FRAMES, MAX_LINE_LENGTH, stack_trace_of
from durable_execution.serdes.tagged import loads


def raised(function: object) -> BaseException:
    try:
        function()  # type: ignore[operator]
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError


def fail() -> None:
    raise ValueError("no")


def deep(depth: int = 100) -> None:
    if not depth:
        fail()
    deep(depth - 1)


def test_the_innermost_frame_comes_last() -> None:
    trace = stack_trace_of(raised(fail))
    assert trace is not None
    assert trace[-1].endswith(f'{fail.__code__.co_firstlineno + 1} in fail: raise ValueError("no")')


def test_an_error_that_was_never_raised_has_none() -> None:
    assert stack_trace_of(ValueError("no")) is None


def test_a_deep_recursion_keeps_its_end() -> None:
    trace = stack_trace_of(raised(deep))
    assert trace is not None
    assert len(trace) == MAX_FRAMES
    assert "in fail" in trace[-1]


def test_long_lines_are_cut() -> None:
    trace = stack_trace_of(raised(lambda: json.loads("x" * 1)))
    assert trace is not None
    assert all(len(line) <= MAX_LINE_LENGTH for line in trace)


def test_the_sdks_own_frames_are_left_out() -> None:
    trace = stack_trace_of(raised(lambda: loads("{")))
    assert trace is not None
    assert all("src/durable_execution" not in line for line in trace)
    assert any("test_described_error" in line for line in trace)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_exits_have_traces_too(error: BaseException) -> None:
    def exit_() -> None:
        raise error

    trace = stack_trace_of(raised(exit_))
    assert trace is not None
    assert "in exit_" in trace[-1]
