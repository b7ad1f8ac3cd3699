"""Remembers when next attempts are due: the service reports it while a step is PENDING, but not once it is READY.

An environment that started in the meantime does not know. Only the history then shows the latency of that attempt.
"""

from collections import OrderedDict
from datetime import datetime
from threading import Lock

REMEMBERED = 4_096


class DueTimes:
    """Due times of the next attempts of suspended executions."""

    def __init__(self) -> None:
        self._due: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._lock = Lock()

    def remember(self, arn: str, operation_id: str, due: datetime) -> None:
        """Remember when the next attempt is due, after one failed."""
        with self._lock:
            self._due[arn, operation_id] = due
            self._due.move_to_end((arn, operation_id))
            while len(self._due) > REMEMBERED:
                self._due.popitem(last=False)

    def recall(self, arn: str, operation_id: str) -> datetime | None:
        """Return when the attempt was due, if this process knows."""
        with self._lock:
            return self._due.get((arn, operation_id))


due_times = DueTimes()
"""The due times of this process."""
