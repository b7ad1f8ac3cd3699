"""The explanation of an execution as one value, with a versioned JSON form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from durable_execution.call_site import CallSite

SCHEMA = "durable-explanation"
VERSION = 1
EFFECT = "effect"
"""Kind of the warning that says what a difference leads to."""


class StateKind(StrEnum):
    """What an execution does, or why it does not continue."""

    WAITING_FOR_TIMER = "waiting_for_timer"
    WAITING_FOR_CALLBACK = "waiting_for_callback"
    WAITING_FOR_INVOKE = "waiting_for_invoke"
    RETRY_PENDING = "retry_pending"
    RETRY_STORM = "retry_storm"
    PAUSED = "paused"
    PAUSING = "pausing"
    FUNCTION_TIMEOUT = "function_timeout"
    THROTTLED = "throttled"
    FAILING_BEFORE_HANDLER = "failing_before_handler"
    INVOCATIONS_FAILING = "invocations_failing"
    RESULT_TOO_LARGE = "result_too_large"
    QUOTA_NEAR = "quota_near"
    HISTORY_UNAVAILABLE = "history_unavailable"
    HISTORY_INCOMPLETE = "history_incomplete"
    DIVERGED = "diverged"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    SUCCEEDED = "succeeded"
    SUCCEEDED_WITH_ODDITIES = "succeeded_with_oddities"


@dataclass(frozen=True, slots=True)
class Place:
    """The place in an execution and its code that explains the state.

    Attributes:
        path: Readable path of the call.
        name: Name of the call; None when unnamed.
        id: Operation id; None for code outside any operation.
        call_site: Where the code made the call, or raised; None without a replay trace or stack trace.
    """

    path: str
    name: str | None = None
    id: str | None = None
    call_site: CallSite | None = None


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that has not ended.

    Attributes:
        place: The call.
        kind: `timer`, `callback`, `invoke`, `retry` or `step`.
        since: When it started.
        until: When it ends or is tried again, at the latest; None if nothing limits it.
        callback_id: Id that completes a callback.
        arn: ARN of an invoked execution, where known.
        attempt: Number of the next attempt of a retried step.
        error: Type and message of the last failed attempt.
    """

    place: Place
    kind: str
    since: datetime | None = None
    until: datetime | None = None
    callback_id: str | None = None
    arn: str | None = None
    attempt: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What you can do.

    Attributes:
        text: One sentence in the imperative.
        command: A command that does it; None when it is a change of code or configuration.
    """

    text: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Warning_:  # noqa: N801  # Warning is a builtin
    """A fact that needs attention beside the state.

    Attributes:
        kind: For example `operations_quota`, `retries`, `slow_resume`.
        text: One sentence.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Chained:
    """An invoked execution that this one waits for, explained by the same rules."""

    arn: str
    explanation: "Explanation"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an execution does, why it does not continue, why it failed, and what you can do.

    Attributes:
        state: The state.
        headline: One sentence.
        arn: ARN of the execution.
        since: Since when it is in this state.
        until: When the state ends by itself, at the latest; None if nothing limits it.
        place: The call or line that explains the state.
        causes: The chain of causes, outermost first: what failed, and why.
        advice: What you can do, best first.
        waiting: Every call that has not ended.
        warnings: Facts that need attention beside the state.
        chained: The invoked execution that it waits for.
        is_inferred: Whether the state was inferred, because the history has no event for it.
    """

    state: StateKind
    headline: str
    arn: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    place: Place | None = None
    causes: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()
    waiting: tuple[OpenCall, ...] = ()
    warnings: tuple[Warning_, ...] = ()
    chained: Chained | None = None
    is_inferred: bool = field(default=False)

    @property
    def text(self) -> str:
        """One paragraph: the headline, the line, the causes, the warnings and the advice."""
        lines = [self.headline]
        if self.place is not None and self.place.call_site is not None:
            lines.append(f"  at         {self.place.call_site}")
        lines += [f"  because    {cause}" for cause in self.causes]
        if self.chained is not None:
            lines += [f"  there      {line}" for line in self.chained.explanation.text.splitlines()]
        lines += [f"  also open  {one.kind} {one.place.path}" for one in self.waiting if one.place != self.place]
        lines += [f"  {'effect' if one.kind == EFFECT else 'note':<10} {one.text}" for one in self.warnings]
        for one in self.advice:
            lines.append(f"  do         {one.text}")
            lines += [f"             {one.command}"] if one.command else []
        return "\n".join(lines)

    def to_wire(self) -> dict[str, Any]:
        """Return all members, JSON-ready."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "arn": self.arn,
            "state": self.state.value,
            "headline": self.headline,
            "since": _iso(self.since),
            "until": _iso(self.until),
            "place": _place(self.place),
            "causes": list(self.causes),
            "advice": [{"text": one.text, "command": one.command} for one in self.advice],
            "waiting": [_open_call(one) for one in self.waiting],
            "warnings": [{"kind": one.kind, "text": one.text} for one in self.warnings],
            "chained": self.chained.explanation.to_wire() if self.chained is not None else None,
            "is_inferred": self.is_inferred,
        }


def _open_call(call: OpenCall) -> Mapping[str, Any]:
    return {
        "place": _place(call.place),
        "kind": call.kind,
        "since": _iso(call.since),
        "until": _iso(call.until),
        "callback_id": call.callback_id,
        "arn": call.arn,
        "attempt": call.attempt,
        "error": call.error,
    }


def _place(place: Place | None) -> Mapping[str, Any] | None:
    if place is None:
        return None
    site = place.call_site._asdict() if place.call_site is not None else None
    return {"path": place.path, "name": place.name, "id": place.id, "call_site": site}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
