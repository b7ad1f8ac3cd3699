"""A span that is not finished, and who is told of it."""

from typing import Any, Protocol

from durable_execution.telemetry.attributes import mirrored
from durable_execution.telemetry.bounded import bounded, bounded_name
from durable_execution.telemetry.ids import hex_span, hex_trace
from durable_execution.telemetry.spans import Attributes, SpanEvent, SpanLink, SpanRecord, SpanStatus
from durable_execution.telemetry.vocabulary import LINKS

Links = tuple[tuple[int, int], ...]


class OpenSpan:
    """A span while it lasts.

    Attributes:
        name: What it is called.
        trace_id: Its trace.
        span_id: Its id.
        parent: The span around it, if that one is this process's own.
        parent_id: Id of the span around it; None for the root.
        start_ns: When it began.
        end_ns: When it ended; until then, the latest end of anything inside it.
        attributes: What is known about it.
        links: Trace and span ids of other spans it belongs with.
        events: What happened inside.
        status: How it ended.
        message: Why, with ERROR.
        is_live: Whether it is announced when it begins; otherwise it is handed over whole when it ends.
        open_inside: How many spans inside it have not ended.
        handle: Whatever the outlet keeps for it.
        shared: Of an operation, the attributes that its attempts have too.
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
        """Mark it as ended in an error."""
        self.status = SpanStatus.ERROR
        self.message = bounded(message or "", 1_024)

    def is_inside(self, around: "OpenSpan") -> bool:
        """Whether a span is around this one, at any distance."""
        span = self.parent
        while span is not None and span is not around:
            span = span.parent
        return span is not None

    def finish(self, end_ns: int) -> None:
        """Set its end, so that it encloses what is inside and is enclosed by what is around it."""
        self.end_ns = max(end_ns, self.end_ns, self.start_ns)
        parent = self.parent
        if parent is not None and parent.end_ns < self.end_ns:
            parent.end_ns = self.end_ns

    def record(self) -> SpanRecord:
        """It as a value."""
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
        """A child cannot begin before its parent: one that is sent already stays, one that is held begins earlier."""
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
    """Where spans go."""

    @property
    def is_sampled(self) -> bool:
        """Whether anybody will see them, for those downstream."""
        ...

    def open(self, span: OpenSpan) -> None:
        """A span has begun: live, or held back until it ends."""

    def close(self, span: OpenSpan, attributes: Attributes) -> None:
        """A span has ended. `attributes` are those it got since it began; they are in `span.attributes` already."""

    def enter(self, span: OpenSpan) -> Any:
        """Code that belongs to the span begins to run here.

        Returns:
            What to give to `leave`.
        """

    def leave(self, token: Any) -> None:
        """That code has ended."""


class RecordOutlet:
    """Collects finished spans as values."""

    is_sampled = True

    def __init__(self) -> None:
        self.records: list[SpanRecord] = []

    def open(self, span: OpenSpan) -> None:
        """Nothing to do until it ends."""

    def close(self, span: OpenSpan, attributes: Attributes) -> None:
        """Keep it."""
        self.records.append(span.record())

    def enter(self, span: OpenSpan) -> None:
        """There is no code to run."""

    def leave(self, token: None) -> None:
        """There was no code to run."""
