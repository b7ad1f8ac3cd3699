"""What every part of the engine works with: the store, the clock, the functions, and transactions over them."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from durable_execution.local.clocks import EngineClock, millis
from durable_execution.local.faults import invalid
from durable_execution.local.functions import Functions
from durable_execution.local.identity import IdSource
from durable_execution.local.journal import Journal
from durable_execution.local.limits import EngineLimits
from durable_execution.local.rows import ExecutionRow
from durable_execution.local.store import Store


class Transaction:
    """Changes to executions that are kept together.

    Args:
        store: The store, inside a transaction of its own.
        now_ms: The time of everything that happens.
    """

    def __init__(self, store: Store, now_ms: int) -> None:
        self.store = store
        self.now_ms = now_ms
        self._journals: dict[int, Journal] = {}

    def journal(self, row: ExecutionRow) -> Journal:
        """The changes of one execution; the same object for the same execution."""
        found = self._journals.get(row.key)
        if found is None:
            found = self._journals[row.key] = Journal(self.store, row, self.now_ms)
        return found

    def journal_of(self, key: int) -> Journal | None:
        """The changes of the execution with a key, unless it is gone."""
        if key in self._journals:
            return self._journals[key]
        row = self.store.executions.by_key(key)
        return self.journal(row) if row else None

    def save(self, turns: Iterator[int]) -> bool:
        """Write all changes.

        Returns:
            Whether the scheduler has something new to look at.
        """
        journals = list(self._journals.values())
        for journal in journals:
            journal.save(next(turns))
        return any(journal.has_new_wake or journal.row.ended_ms is not None for journal in journals)


class Backend:
    """Store, clock, ids, limits and functions of one engine.

    Attributes:
        owner: This engine's name in the store.
        holds_children: Whether a chained invoke waits for its parent's invocation to end, however long that takes.
        on_change: Called after a commit that gives the scheduler something to do.
    """

    def __init__(
        self, store: Store, clock: EngineClock, ids: IdSource, limits: EngineLimits, functions: Functions, owner: str
    ) -> None:
        self.store = store
        self.clock = clock
        self.ids = ids
        self.limits = limits
        self.functions = functions
        self.owner = owner
        self.holds_children = clock.is_skipping
        self.on_change: Callable[[], None] = lambda: None
        with store.snapshot():
            self._turns = itertools.count(store.executions.last_turn() + 1)

    def now_ms(self) -> int:
        """Now."""
        return millis(self.clock.now())

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Everything done inside is kept together, or not at all when it raises."""
        self.store.begin()
        try:
            transaction = Transaction(self.store, self.now_ms())
            yield transaction
            has_news = transaction.save(self._turns)
        except UnicodeEncodeError as error:
            self.store.roll_back(error)
            raise invalid("A text holds half of a surrogate pair, which is not valid Unicode.") from None
        except BaseException as error:
            explained = self.store.roll_back(error)
            if explained is error:
                raise
            raise explained from error
        self.store.commit()
        if has_news:
            self.on_change()
