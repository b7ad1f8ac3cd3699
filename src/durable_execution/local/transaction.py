"""The objects every part of the engine shares (store, clock, ids, limits, functions), and transactions over them."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from durable_execution.local.clocks import EngineClock, millis
from durable_execution.local.function_registry import Functions
from durable_execution.local.id_source import IdSource
from durable_execution.local.rules.api_errors import invalid
from durable_execution.local.rules.forks import ForkBook
from durable_execution.local.rules.limits import EngineLimits
from durable_execution.local.store.database import Store
from durable_execution.local.store.journal import Journal
from durable_execution.local.store.rows import ExecutionRow


class Transaction:
    """Changes to executions that are committed together.

    Args:
        store: The store, with an open write transaction.
        now_ms: The timestamp of every change in the transaction.
    """

    def __init__(self, store: Store, now_ms: int) -> None:
        self.store = store
        self.now_ms = now_ms
        self._journals: dict[int, Journal] = {}

    def journal(self, row: ExecutionRow) -> Journal:
        """The journal of an execution. The same execution always gives the same object."""
        found = self._journals.get(row.key)
        if found is None:
            found = self._journals[row.key] = Journal(self.store, row, self.now_ms)
        return found

    def journal_of(self, key: int) -> Journal | None:
        """The journal of the execution with a key; None if it was deleted."""
        if key in self._journals:
            return self._journals[key]
        row = self.store.executions.by_key(key)
        return self.journal(row) if row else None

    def save(self, turns: Iterator[int]) -> bool:
        """Write all changes.

        Returns:
            Whether the scheduler has to look again.
        """
        journals = list(self._journals.values())
        for journal in journals:
            journal.save(next(turns))
        return any(journal.has_new_wake or journal.row.ended_ms is not None for journal in journals)


class Backend:
    """Store, clock, ids, limits and functions of one engine.

    Attributes:
        owner: This engine's id in the store.
        started_ms: When the engine was created, in Unix milliseconds.
        forks: The forks of the store.
        holds_children: Whether a chained invoke waits until its parent's invocation ends, without a time limit.
        on_change: Called after a commit that gives the scheduler work.
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
        self.forks = ForkBook(store)
        self.holds_children = clock.is_skipping
        self.started_ms = self.now_ms()
        self.on_change: Callable[[], None] = lambda: None
        with store.snapshot():
            self._turns = itertools.count(store.executions.last_turn() + 1)

    def now_ms(self) -> int:
        """The current time, in Unix milliseconds."""
        return millis(self.clock.now())

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit everything done inside when the block ends, or nothing if it raises."""
        self.store.begin()
        try:
            transaction = Transaction(self.store, self.now_ms())
            yield transaction
            has_news = transaction.save(self._turns)
        except UnicodeEncodeError as error:
            self.store.roll_back(error)
            raise invalid("A string contains an unpaired surrogate, which is not valid Unicode.") from None
        except BaseException as error:
            explained = self.store.roll_back(error)
            if explained is error:
                raise
            raise explained from error
        self.store.commit()
        if has_news:
            self.on_change()
