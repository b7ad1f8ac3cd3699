"""Remembers when next attempts are due: the service says so while a step is PENDING, and no longer once it is READY.

In an environment that has begun in between nobody remembers. The latency of that attempt is then told by the history only.
"""

from collections import OrderedDict
from datetime import datetime
from threading import Lock

REMEMBERED = 4_096


class DueTimes:
    """When the next attempts of suspended executions are due."""

    def __init__(self) -> None:
        self._due: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._lock = Lock()

    def remember(self, arn: str, operation_id: str, due: datetime) -> None:
        """An attempt failed, and another one follows."""
        with self._lock:
            self._due[arn, operation_id] = due
            self._due.move_to_end((arn, operation_id))
            while len(self._due) > REMEMBERED:
                self._due.popitem(last=False)

    def recall(self, arn: str, operation_id: str) -> datetime | None:
        """When it was due, if this process was told."""
        with self._lock:
            return self._due.get((arn, operation_id))


due_times = DueTimes()
"""Of this process."""
