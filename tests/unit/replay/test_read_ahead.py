"""Recordings read over a network ahead of their replays."""

import threading
from collections.abc import Callable
from functools import partial

import pytest

from durable_execution.replay.read_ahead import AHEAD, READERS, ReadAhead

SECONDS = 10
MANY = 3 * AHEAD


def numbered(read: Callable[[int], int], number: int = MANY) -> ReadAhead[int]:
    return ReadAhead([partial(read, index) for index in range(number)])


def test_results_come_in_order_whatever_comes_first() -> None:
    is_second_read = threading.Event()

    def read(index: int) -> int:
        if index == 0:
            assert is_second_read.wait(SECONDS)
        elif index == 1:
            is_second_read.set()
        return index

    with numbered(read) as ahead:
        assert [result() for result in ahead.results] == list(range(MANY))


def test_several_are_read_at_the_same_time() -> None:
    all_readers = threading.Barrier(READERS)

    def read(index: int) -> int:
        if index < READERS:
            all_readers.wait(SECONDS)
        return index

    with numbered(read) as ahead:
        assert ahead.results[0]() == 0


def test_an_error_belongs_to_its_own_result() -> None:
    def read(index: int) -> int:
        if index == 2:
            raise OSError("gone")
        return index

    with numbered(read, 4) as ahead:
        assert [ahead.results[index]() for index in (0, 1, 3)] == [0, 1, 3]
        with pytest.raises(OSError, match="gone"):
            ahead.results[2]()


def test_few_are_kept_before_they_are_taken() -> None:
    begun: list[int] = []
    is_limit_reached, is_further = threading.Event(), threading.Event()

    def read(index: int) -> int:
        begun.append(index)
        if index == AHEAD - 1:
            is_limit_reached.set()
        elif index == AHEAD:
            is_further.set()
        return index

    with numbered(read) as ahead:
        assert is_limit_reached.wait(SECONDS)
        assert len(begun) <= AHEAD
        assert ahead.results[0]() == 0
        assert is_further.wait(SECONDS)


def test_a_result_can_be_taken_again_out_of_order_and_at_the_end() -> None:
    with numbered(lambda index: index) as ahead:
        assert ahead.results[MANY - 1]() == MANY - 1
        assert [ahead.results[0]() for _ in range(2)] == [0, 0]
    assert ahead.results[MANY - 2]() == MANY - 2


def test_the_end_does_not_wait_for_a_read() -> None:
    is_reading, is_over = threading.Event(), threading.Event()

    def read(index: int) -> int:
        is_reading.set()
        assert is_over.wait(SECONDS)
        return index

    with numbered(read):
        assert is_reading.wait(SECONDS)
    assert not is_over.is_set()
    is_over.set()
