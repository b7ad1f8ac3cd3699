"""An unfinished span, and the outlets that receive it."""

from typing import Any, Protocol

from durable_execution.telemetry.attributes import mirrored
from durable_execution.telemetry.bounded import bounded, bounded_name
from durable_execution.telemetry.span_ids import hex_span, hex_trace
from durable_execution.telemetry.spans import Attributes, SpanEvent, SpanLink, SpanRecord, SpanStatus
from durable_execution.telemetry.vocabulary import LINKS

ENVELOPE_BYTES = 300
"""A span in X-Ray without attributes: ids, times, resource and braces."""

Links = tuple[tuple[int, int], ...]


class OpenSpan:
    """A span that has not ended.

    Attributes:
        name: Its name.
        trace_id: Its trace.
        span_id: Its id.
        parent: The enclosing span, if this process owns it.
        parent_id: Id of the span around it; None for the root.
        start_ns: When it started, in nanoseconds since 1970.
        end_ns: When it ended; until then, the latest end of anything inside it.
        attributes: Its attributes.
        links: Trace and span ids of related spans.
        events: Its events.
        status: Its status.
        message: The reason, with ERROR.
        is_live: Whether the outlet learns of its start; if not, the outlet receives it complete when it ends.
        open_inside: How many spans inside it have not ended.
        handle: The outlet's own data about it.
        shared: For an operation, the attributes that its attempts share.
    """

    __slots__ = (
        "attributes", "end_ns", "events", "handle", "is_live", "links", "message", "name", "open_inside", "parent",
        "parent_id", "shared", "span_id", "start_ns", "status", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        trace_id: int,
        span_id: int,
        *,
        parent: "OpenSpan | None" = None,
        parent_id: int | None = None,
        start_ns: int,
        attributes: dict[str, Any],
        links: Links = (),
        is_live: bool = True,
    ) -> None:
        self.name = bounded_name(name)
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent = parent
        self.parent_id = parent.span_id if parent is not None else parent_id
        self.start_ns = start_ns
        self.end_ns = start_ns
        self.attributes = attributes
        if links:
            attributes[LINKS] = mirrored(links)
        self.links = links
        self.events: list[SpanEvent] = []
        self.status = SpanStatus.UNSET
        self.message = ""
        self.is_live = is_live
        self.open_inside = 0
        self.handle: Any = None
        self.shared: Attributes = {}
        self._fit_into(parent)

    def fail(self, message: str | None) -> None:
        """Mark it as failed."""
        self.status = SpanStatus.ERROR
        self.message = bounded(message or "", 1_024)

    def is_inside(self, around: "OpenSpan") -> bool:
        """Tell whether a span encloses this one, at any depth."""
        span = self.parent
        while span is not None and span is not around:
            span = span.parent
        return span is not None

    def finish(self, end_ns: int) -> None:
        """Set its end so that it encloses its children and its ancestors enclose it."""
        self.end_ns = max(end_ns, self.end_ns, self.start_ns)
        parent = self.parent
        if parent is not None and parent.end_ns < self.end_ns:
            parent.end_ns = self.end_ns

    @property
    def size_bytes(self) -> int:
        """Its approximate size in a trace of X-Ray, which stores it as JSON."""
        texts = sum(len(key) + len(str(value)) + 6 for key, value in self.attributes.items())
        for event in self.events:
            texts += sum(len(key) + len(str(value)) + 6 for key, value in event.attributes.items())
        return ENVELOPE_BYTES + len(self.name) + texts

    def record(self) -> SpanRecord:
        """Return it as a value."""
        return SpanRecord(
            name=self.name,
            trace_id=hex_trace(self.trace_id),
            span_id=hex_span(self.span_id),
            parent_id=hex_span(self.parent_id) if self.parent_id else None,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            attributes=self.attributes,
            events=tuple(self.events),
            links=tuple(SpanLink(hex_trace(trace_id), hex_span(span_id)) for trace_id, span_id in self.links),
            status=self.status,
            message=self.message,
        )

    def _fit_into(self, parent: "OpenSpan | None") -> None:
        """Make ancestors start no later than this span: a held one is moved earlier, one already sent stays."""
        if parent is None or parent.start_ns <= self.start_ns:
            return
        if parent.is_live:
            self.start_ns = self.end_ns = parent.start_ns
            return
        ancestor: OpenSpan | None = parent
        while ancestor is not None and not ancestor.is_live and ancestor.start_ns > self.start_ns:
            ancestor.start_ns = self.start_ns
            ancestor = ancestor.parent


class SpanOutlet(Protocol):
    """Receives spans."""

    @property
    def is_sampled(self) -> bool:
        """Whether the spans are sampled, for downstream decisions."""
        ...

    def open(self, span: OpenSpan) -> None:
        """Start a span: live, or held back until it ends."""

    def close(self, span: OpenSpan, attributes: Attributes) -> None:
        """End a span. `attributes` were added since it started; `span.attributes` already has them."""

    def enter(self, span: OpenSpan) -> Any:
        """Note that code of the span starts to run here.

        Returns:
            A token for `leave`.
        """

    def leave(self, token: Any) -> None:
        """Note that the code has ended."""


class RecordOutlet:
    """Collects finished spans as values."""

    is_sampled = True

    def __init__(self) -> None:
        self.records: list[SpanRecord] = []

    def open(self, span: OpenSpan) -> None:
        """Do nothing until it ends."""

    def close(self, span: OpenSpan, attributes: Attributes) -> None:
        """Collect it."""
        self.records.append(span.record())

    def enter(self, span: OpenSpan) -> None:
        """Do nothing: no code runs."""

    def leave(self, token: None) -> None:
        """Do nothing: no code ran."""
