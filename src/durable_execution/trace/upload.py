"""Uploads a replay trace within a budget, so that slow storage never delays an invocation by more than that.

The upload runs in a thread. An invocation waits for it at most for the budget, and answers. An environment that is frozen in the
meantime continues the upload in its next invocation.
"""

import threading
from collections.abc import Callable

from durable_execution.clock import SystemClock

BUDGET_SECONDS = 1.0
"""How long an invocation waits for its trace."""

LEAST_PATIENCE = 0.1
monotonic = SystemClock().monotonic


class TraceDelayedError(Exception):
    """A trace was not stored within the budget. Its upload may still end later."""


class Uploader:
    """Runs one upload at a time.

    Args:
        budget_seconds: How long `run` waits. It is halved after each upload that takes longer, and restored by one that does not.
    """

    def __init__(self, budget_seconds: float = BUDGET_SECONDS) -> None:
        self._budget_seconds = budget_seconds
        self._patience = 1.0
        self._pending: threading.Thread | None = None

    def run(self, upload: Callable[[], object]) -> None:
        """Run an upload.

        Raises:
            TraceDelayedError: It did not end in time, or an earlier one still runs.
            Exception: The upload failed.
        """
        deadline = monotonic() + self._budget_seconds * self._patience
        if self._is_pending(deadline):
            self._give_up("an earlier trace is still being stored, so this one is dropped")
        failures: list[Exception] = []
        self._pending = threading.Thread(target=_attempt, args=(upload, failures), name="durable-trace", daemon=True)
        self._pending.start()
        if self._is_pending(deadline):
            self._give_up("it was not stored in time, and may be missing")
        self._patience = 1.0
        if failures:
            raise failures[0]

    def _is_pending(self, deadline: float) -> bool:
        if self._pending is None:
            return False
        self._pending.join(max(0.0, deadline - monotonic()))
        return self._pending.is_alive()

    def _give_up(self, what: str) -> None:
        self._patience = max(self._patience / 2, LEAST_PATIENCE)
        raise TraceDelayedError(f"{what}; an invocation waits {self._budget_seconds:g} s at most")


def _attempt(upload: Callable[[], object], failures: list[Exception]) -> None:
    try:
        upload()
    except Exception as error:  # noqa: BLE001  # raised again in the thread of the invocation
        failures.append(error)
