"""Puts a divergence on a span: both sides, the call site, and the fix."""

from typing import Any

from durable_execution.observers import Diverged
from durable_execution.telemetry import attributes
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.bounded import MAX_TEXT, bounded
from durable_execution.telemetry.open_span import OpenSpan
from durable_execution.telemetry.spans import AttributeValue, SpanEvent, to_ns


def mark_divergence(span: OpenSpan, happening: Diverged) -> None:
    """Add the event to the span, and mark the span as failed unless the divergence is only a warning."""
    divergence = happening.divergence
    span.events.append(SpanEvent(names.NONDETERMINISM.title, to_ns(happening.at), divergence_attributes(divergence)))
    if severity_of(divergence) == "error":
        span.fail(str(getattr(divergence, "headline", divergence)))


def divergence_attributes(divergence: Any) -> dict[str, AttributeValue]:
    """Return both sides and the rest of the explanation as texts."""
    from durable_execution.replay.divergence import Divergence, explanation

    if not isinstance(divergence, Divergence):
        return {names.DIVERGENCE_LINES["recorded"]: bounded(str(divergence), MAX_TEXT)}
    known: dict[str, AttributeValue] = {
        names.DIVERGENCE_KIND: divergence.kind.value,
        names.DIVERGENCE_SEVERITY: divergence.severity.value,
        names.PATH: bounded(divergence.path),
    }
    known.update({names.DIVERGENCE_LINES[word]: bounded(line) for word, line in explanation(divergence)})
    side = divergence.replayed
    if side is not None and side.call_site is not None:
        known.update(attributes.code_attributes(side.call_site))
    return known


def severity_of(divergence: Any) -> str:
    """Return its severity: `error`, `warning` or `info`; `error` if it has none."""
    return str(getattr(divergence, "severity", "error"))


def kind_of_divergence(divergence: Any) -> str:
    """Return its kind, in one word."""
    return str(getattr(divergence, "kind", "unknown"))
