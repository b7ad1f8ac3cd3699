"""Flushes an invocation's telemetry before the environment freezes, without delaying the answer beyond a budget.

The SDK's `force_flush` ignores its timeout while an exporter hangs, so it runs in a thread, and the wait is bounded.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from durable_execution.clock import SystemClock
from durable_execution.telemetry.export_outcomes import ExportOutcomes, outcomes

logger = logging.getLogger("durable_execution")
monotonic = SystemClock().monotonic
MARGIN_SECONDS = 0.5
"""Reserved from the function's remaining time for the answer itself."""
PATIENCE = (1.0, 0.2, 0.02)
"""The part of the budget to wait for, by the number of flushes before that delivered nothing."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """How a flush went.

    Attributes:
        seconds: How long the invocation waited.
        is_complete: Whether everything reached the exporters in that time.
        is_refused: Whether an exporter failed to deliver.
    """

    seconds: float
    is_complete: bool
    is_refused: bool = False


class Flusher:
    """Flushes providers of one environment.

    Waits less after every flush that delivers nothing, so that an unreachable collector does not slow down every invocation.
    The first delivery restores the whole budget.

    Args:
        counted: Counts failed exports.
        has_spans: Whether the providers are those of spans; if not, of metrics and log records.
    """

    def __init__(self, counted: ExportOutcomes = outcomes, *, has_spans: bool = True) -> None:
        self._pending: _Flush | None = None
        self._counted = counted
        self._has_spans = has_spans
        self._failed = 0

    def flush(self, flushes: Sequence[Callable[[int], Any]], budget_seconds: float) -> Flushed:
        """Call every flush function within the budget.

        Args:
            flushes: `force_flush` of each provider, which takes milliseconds.
            budget_seconds: Longest wait, if the flush before delivered.
        """
        return self.begin(flushes, budget_seconds)()

    def begin(self, flushes: Sequence[Callable[[int], Any]], budget_seconds: float) -> Callable[[], Flushed]:
        """Start a flush, unless an earlier one still runs. Returns the function that waits for it."""
        if not flushes:
            return lambda: Flushed(0.0, is_complete=True)
        began = monotonic()
        deadline = began + max(0.0, budget_seconds * PATIENCE[min(self._failed, len(PATIENCE) - 1)])
        failures = self._failures
        earlier = self._pending if self._pending is not None and self._pending.is_alive() else None
        pending = earlier or self._start(flushes, deadline)

        def finish() -> Flushed:
            flush = pending
            flush.join(max(0.0, deadline - monotonic()))
            if flush is earlier and not flush.is_alive():
                flush = self._start(flushes, deadline)
                flush.join(max(0.0, deadline - monotonic()))
            is_complete = not flush.is_alive() and flush.is_complete
            is_refused = self._failures > failures
            if is_complete and not is_refused:
                self._failed = 0
            else:
                self._failed += 1
                self._warn(monotonic() - began, _reason(is_refused=is_refused, is_running=flush.is_alive()))
            return Flushed(monotonic() - began, is_complete, is_refused)

        return finish

    @property
    def _failures(self) -> int:
        return self._counted.failures if self._has_spans else self._counted.other_failures

    def _start(self, flushes: Sequence[Callable[[int], Any]], deadline: float) -> "_Flush":
        self._pending = _Flush(flushes, deadline)
        self._pending.start()
        return self._pending

    def _warn(self, seconds: float, reason: str) -> None:
        if self._failed == 1:
            logger.warning(
                "%s were not delivered: %s after %.1f s. The execution is not affected; the next invocations wait less. "
                "Check that the collector answers at OTEL_EXPORTER_OTLP_ENDPOINT; DURABLE_TELEMETRY_FLUSH_SECONDS sets how "
                "long an invocation waits",
                "spans" if self._has_spans else "metrics or log records",
                reason,
                seconds,
            )


def _reason(*, is_refused: bool, is_running: bool) -> str:
    if is_refused:
        return "the exporter failed"
    return "the exporter had not finished" if is_running else "the provider did not flush (it may be shut down)"


def budget_of(lambda_context: Any, longest_seconds: float) -> float:
    """Return how long an invocation may wait for its telemetry."""
    remaining = getattr(lambda_context, "get_remaining_time_in_millis", None)
    if not callable(remaining):
        return longest_seconds
    try:
        milliseconds: Any = remaining()
        seconds = float(milliseconds) / 1_000
    except (TypeError, ValueError):
        return longest_seconds
    return max(0.0, min(longest_seconds, seconds - MARGIN_SECONDS))


class _Flush(threading.Thread):
    """Calls flush functions in a thread of its own.

    Attributes:
        is_complete: Whether no function reported that its time was not enough; some versions of the SDK do.
    """

    def __init__(self, flushes: Sequence[Callable[[int], Any]], deadline: float) -> None:
        super().__init__(name="durable-flush", daemon=True)
        self._flushes = tuple(flushes)
        self._deadline = deadline
        self.is_complete = True

    def run(self) -> None:
        """Call them all; one that raises does not keep the others from being called."""
        for flush in self._flushes:
            try:
                is_done = flush(max(1, int((self._deadline - monotonic()) * 1_000)))
            except Exception:
                logger.exception("telemetry could not be delivered: the execution is not affected. Check the exporter")
            else:
                self.is_complete = self.is_complete and is_done is not False
