"""Pausing and resuming an execution."""

from durable_execution.local.journal import Journal
from durable_execution.protocol.limits import MAX_DELAY_SECONDS


def become_paused(journal: Journal) -> None:
    """Pause an execution whose last invocation has ended."""
    row = journal.row
    details = {"PauseRequestTimestamp": row.pause_request_ms, "ExecutionTimeoutPaused": bool(row.pauses_timeout)}
    journal.happen("ExecutionPaused", journal.root(), details=details, data=row.pause_reason)
    journal.set(status="PAUSED", paused_ms=journal.now_ms, frozen_timeout_ms=row.timeout_ms)
    if row.pauses_timeout:
        journal.set(timeout_ms=row.started_ms + MAX_DELAY_SECONDS * 1000)


def become_running(journal: Journal) -> None:
    """Continue after a pause. A paused time-out moves by the length of the pause."""
    row = journal.row
    if row.paused_ms is not None and row.pauses_timeout and row.frozen_timeout_ms is not None:
        moved = row.frozen_timeout_ms + journal.now_ms - row.paused_ms
        journal.set(timeout_ms=min(moved, row.started_ms + MAX_DELAY_SECONDS * 1000))
    journal.set(status="RUNNING", pause_request_ms=None, pause_reason=None, paused_ms=None, frozen_timeout_ms=None)
