"""Recovery: adopting executions whose engine is gone."""

from durable_execution.local.backend import Backend, Transaction
from durable_execution.local.invocations import Invocations
from durable_execution.local.leases import Lease
from durable_execution.local.rows import ExecutionRow


class Recovery:
    """Makes this engine the owner of the executions of a dead engine."""

    def __init__(self, backend: Backend, invocations: Invocations, lease: Lease) -> None:
        self._backend = backend
        self._invocations = invocations
        self._lease = lease

    def hold_lease(self) -> None:
        """Acquire this engine's lease, before it owns any execution."""
        self._lease.hold()

    def adopt_all(self) -> list[str]:
        """Adopt every unfinished execution of a registered function whose engine is gone.

        Returns:
            ARNs of the adopted durable executions.
        """
        self._lease.hold()
        with self._backend.transaction() as transaction:
            orphans = [row for row in transaction.store.executions.unfinished() if self._is_orphan(row)]
            for row in orphans:
                self._adopt(transaction, row)
        return [row.arn for row in orphans if row.is_durable]

    def adopt(self, row: ExecutionRow) -> None:
        """Adopt one execution and the executions it invoked, if their engine is gone."""
        self._lease.hold()
        with self._backend.transaction() as transaction:
            self._adopt_tree(transaction, row.key)

    def _adopt_tree(self, transaction: Transaction, key: int) -> None:
        row = transaction.store.executions.by_key(key)
        if row is not None and row.ended_ms is None and self._is_orphan(row):
            self._adopt(transaction, row)
        for child in transaction.store.executions.children(key):
            self._adopt_tree(transaction, child.key)

    def _adopt(self, transaction: Transaction, row: ExecutionRow) -> None:
        journal = transaction.journal(row)
        journal.set(owner=self._backend.owner)
        if journal.row.is_running:
            self._invocations.recover(transaction, journal)

    def _is_orphan(self, row: ExecutionRow) -> bool:
        return self._backend.functions.get(row.function) is not None and self._lease.is_dead(row.owner)
