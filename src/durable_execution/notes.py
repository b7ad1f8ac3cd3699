"""How observers inside the SDK take what happens as the runtime has it, in place of a description and a notification each time.

An invocation can replay thousands of calls, so that what an observer costs for each of them decides how long it takes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from durable_execution.protocol import ErrorObject


class ReplayNotes(ABC):
    """An observer inside the SDK that takes replayed calls as the runtime has them."""

    @abstractmethod
    def note_replayed(self, call: Any, recorded: Mapping[str, Any], at: datetime) -> None:
        """Note a call that was answered from the record, in place of `on_operation_replayed`.

        Args:
            call: The runtime's call; `info()` returns its description.
            recorded: The recorded operation, in wire form.
            at: Time of the call.
        """


Replay = tuple[Any, Mapping[str, Any]]
"""The runtime's call, and the recorded operation that answered it, in wire form; see `ReplayNotes.note_replayed`."""


class CallNotes(ABC):
    """Takes what happens to calls as the runtime has it, without a description and a notification each time."""

    @abstractmethod
    def note_replays(self, replays: Sequence[Replay], at: datetime) -> None:
        """Note calls that were answered from the record, in their order, in place of `on_operation_replayed`.

        Several at a time: what happens after them is announced after them. They share one time, because reading the clock for
        each of thousands would take longer than answering them.

        Args:
            replays: The calls.
            at: When they had all been answered.
        """

    @abstractmethod
    def note_started(self, call: Any, at: datetime, status: str, is_replayed: bool) -> None:  # each call
        """Note a call that has not ended, in place of `on_operation_started`."""

    @abstractmethod
    def note_attempt_ended(
        self, call: Any, attempt: int, started_at: datetime, at: datetime, outcome: str, error: ErrorObject | None, delay: int | None
    ) -> None:  # fmt: skip
        """Note an attempt, in place of `on_attempt_ended`."""

    @abstractmethod
    def note_completed(
        self,
        call: Any,
        at: datetime,
        status: str,
        result: str | None,
        error: ErrorObject | None,
        attempt: int | None,
        is_replayed: bool,  # each call
    ) -> None:
        """Note the end of a call, in place of `on_operation_completed`."""

    @abstractmethod
    def note_checkpoint(self) -> None:
        """Note a checkpoint call, in place of `on_checkpoint_sent`. The clock is not read for it."""


class Noting(ABC):
    """An observer inside the SDK that has `CallNotes` taken in each invocation."""

    @abstractmethod
    def notes(self) -> CallNotes | None:
        """Return what takes the notes of the invocation that has just started in this thread."""
