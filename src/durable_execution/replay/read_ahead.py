"""Reads recordings over a network before their replays need them, several at the same time."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Generic, Self, TypeVar

from durable_execution.replay.checks import Source

Read = TypeVar("Read")

READERS = 8
"""How many reads run at the same time."""

AHEAD = 64
"""How many reads begin before the result of the first one is taken, so that memory stays bounded."""


class ReadAhead(Generic[Read]):
    """Runs reads in threads, in order.

    The threads are daemons: after Ctrl-C, nothing waits for a service that does not answer.

    Args:
        reads: What to read, in the order in which the results are taken.

    Attributes:
        results: For each read, a function that waits for its result, and returns it or raises its error. Called a second
            time, it reads again.
    """

    def __init__(self, reads: Sequence[Callable[[], Read]]) -> None:
        self._reads = reads
        self._futures: list[Future[Read] | None] = [Future() for _ in reads]
        self._next, self._limit, self._is_closed = 0, AHEAD, False
        self._changed = threading.Condition()
        self.results: list[Callable[[], Read]] = [partial(self._take, index) for index in range(len(reads))]

    def __enter__(self) -> Self:
        for number in range(min(READERS, len(self._reads))):
            threading.Thread(target=self._work, name=f"durable-read-{number}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _take(self, index: int) -> Read:
        with self._changed:
            future, self._futures[index] = self._futures[index], None
            has_begun = index < self._next
            self._limit = max(self._limit, index + 1 + AHEAD)
            self._changed.notify_all()
        return future.result() if future is not None and has_begun else self._reads[index]()

    def _work(self) -> None:
        while (claimed := self._claim()) is not None:
            read, future = claimed
            try:
                future.set_result(read())
            except BaseException as error:  # noqa: BLE001  # raised where the result is taken
                future.set_exception(error)

    def _claim(self) -> tuple[Callable[[], Read], Future[Read]] | None:
        """Return the next read; None when none is left."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._is_closed or self._next < self._limit)
                if self._is_closed or self._next >= len(self._reads):
                    return None
                self._next += 1
                future = self._futures[self._next - 1]
                if future is not None:
                    return self._reads[self._next - 1], future


@contextmanager
def loaded_ahead(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """Return the same recordings, loaded ahead."""
    with ReadAhead([one.load for one in sources]) as ahead:
        yield [replace(one, load=load) for one, load in zip(sources, ahead.results, strict=True)]
