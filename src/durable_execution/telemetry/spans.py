"""A span as a value: live tracing sends it, backfill computes it, the store keeps it and the tree shows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

from durable_execution.counts import counted
from durable_execution.errors import DurableError

AttributeValue: TypeAlias = "str | bool | int | float | tuple[str, ...]"
Attributes: TypeAlias = Mapping[str, AttributeValue]
SCOPE = "durable_execution"
"""The name of the instrumentation scope."""
SCHEMA_URL = "https://opentelemetry.io/schemas/1.34.0"
"""The version of OpenTelemetry's conventions that the attributes follow."""
EPOCH = datetime.fromtimestamp(0, UTC)
DISTRIBUTION = "durable-execution-sdk"
SPANS_PER_REQUEST = 512
"""Most spans that one request to a collector carries."""


@cache
def sdk_version() -> str | None:
    """Return the version of this SDK for instrumentation scopes; None if it is not installed as a package."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return None


class ExportError(DurableError):
    """Spans could not be delivered."""

    @classmethod
    def of_rejected(cls, rejected: int, sent: int, reasons: Iterable[str]) -> "ExportError":
        """Return the error for spans that a collector rejects in requests that it accepts."""
        return cls(
            f"the collector rejected {rejected} of {counted(sent, 'span')}: {'; '.join(dict.fromkeys(reasons))}. Check its "
            "limits, and export again"
        )


class SpanStatus(StrEnum):
    """OpenTelemetry's status codes."""

    UNSET = "UNSET"
    OK = "OK"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A pointer to another span, in hexadecimal."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """An event inside a span.

    Attributes:
        name: Its name, for example `exception`.
        at_ns: Its time, in nanoseconds since 1970.
        attributes: Its attributes.
    """

    name: str
    at_ns: int
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A finished span.

    Attributes:
        name: Its name.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_id: Its parent's span id; None for the root of a trace.
        start_ns: When it started, in nanoseconds since 1970.
        end_ns: When it ended, in nanoseconds since 1970.
        attributes: Its attributes.
        events: Its events.
        links: Related spans.
        status: Its status.
        message: The reason, with ERROR.
        kind: OpenTelemetry's span kind.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    attributes: Attributes = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    status: SpanStatus = SpanStatus.UNSET
    message: str = ""
    kind: str = "INTERNAL"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` reads."""
        return {
            "name": self.name,
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "parent_id": self.parent_id,
            "kind": self.kind,
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "status": self.status.value,
            "message": self.message,
            "attributes": {key: _plain(value) for key, value in self.attributes.items()},
            "events": [
                {"name": event.name, "at_ns": event.at_ns, "attributes": dict(event.attributes)}
                for event in self.events
            ],
            "links": [{"trace_id": link.trace_id, "span_id": link.span_id} for link in self.links],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SpanRecord":
        """Read an object written by `to_json`. Unknown members are ignored.

        Raises:
            KeyError: A member is missing.
            ValueError: A member has an invalid value.
            TypeError: The object has a different shape.
        """
        return cls(
            name=str(data["name"]),
            trace_id=str(data["trace_id"]),
            span_id=str(data["span_id"]),
            parent_id=data["parent_id"],
            start_ns=int(data["start_ns"]),
            end_ns=int(data["end_ns"]),
            attributes=_restored(data["attributes"]),
            events=tuple(
                SpanEvent(event["name"], event["at_ns"], _restored(event["attributes"])) for event in data["events"]
            ),
            links=tuple(SpanLink(link["trace_id"], link["span_id"]) for link in data["links"]),
            status=SpanStatus(data["status"]),
            message=str(data.get("message", "")),
            kind=str(data.get("kind", "INTERNAL")),
        )


def to_ns(moment: datetime) -> int:
    """Return nanoseconds since 1970, without a float's rounding."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def _plain(value: AttributeValue) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _restored(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in attributes.items()}
