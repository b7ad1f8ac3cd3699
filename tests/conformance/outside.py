"""The outside world of a requirement: who completes callbacks, and when."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.requirement import CallbackAction

ENDS = frozenset({"CallbackSucceeded", "CallbackFailed", "CallbackTimedOut"})


@dataclass(slots=True)
class Outside:
    """Actions on callbacks that are to be carried out.

    Attributes:
        actions: Those that still have to be.
    """

    actions: list[CallbackAction]
    _seen_at: dict[str, float] = field(default_factory=dict)

    def next_action(self, events: Sequence[Mapping[str, Any]], now: float) -> tuple[CallbackAction, str, float] | None:
        """The action that is due first, with the callback's id and the time it is due; None while none can be told.

        Args:
            events: The history so far.
            now: Seconds on whatever clock `due` is to be on.
        """
        open_callbacks = _open_callbacks(events)
        for callback_id in open_callbacks:
            self._seen_at.setdefault(callback_id, now)
        found: list[tuple[float, int]] = []
        targets: dict[int, str] = {}
        for place, action in enumerate(self.actions):
            target = _target(action, open_callbacks)
            if target is not None:
                targets[place] = target
                found.append((self._seen_at[target] + action.delay_seconds, place))
        if not found:
            return None
        due, place = min(found)
        return self.actions[place], targets[place], due

    def carry_out(self, client: Any, action: CallbackAction, callback_id: str) -> None:
        """Do it."""
        self.actions.remove(action)
        match action.operation:
            case "success":
                body = {} if action.payload is None else {"Result": json.dumps(action.payload).encode()}
                client.send_durable_execution_callback_success(CallbackId=callback_id, **body)
            case "failure":
                client.send_durable_execution_callback_failure(CallbackId=callback_id, Error=action.payload or {})
            case "heartbeat":
                client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)
            case other:
                raise ValueError(f"nobody knows how to {other} a callback")


def _open_callbacks(events: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """Names of open callbacks by id, oldest first."""
    ended = {event["Id"] for event in events if event["EventType"] in ENDS}
    return {
        event["CallbackStartedDetails"]["CallbackId"]: event.get("Name")
        for event in events
        if event["EventType"] == "CallbackStarted" and event["Id"] not in ended
    }


def _target(action: CallbackAction, open_callbacks: Mapping[str, str | None]) -> str | None:
    for callback_id, name in open_callbacks.items():
        if action.callback in {"*", name}:
            return callback_id
    return None
