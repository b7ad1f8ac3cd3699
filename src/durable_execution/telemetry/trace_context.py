"""Reads the trace context of an invocation and writes that of a chained invoke: X-Ray's and W3C's headers.

Headers come from outside: anything that does not have the exact form counts as absent.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from durable_execution.telemetry.settings import XRAY_HEADER
from durable_execution.telemetry.span_ids import hex_span, hex_trace

MAX_HEADER = 8_192
"""Maximum characters of `XAmznTraceId` in the service's model."""

XRAY_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})", re.ASCII | re.IGNORECASE)
SPAN_ID = re.compile(r"[0-9a-f]{16}", re.ASCII | re.IGNORECASE)
TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
SAMPLED = {"1": True, "0": False}


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The trace context from upstream.

    Attributes:
        trace_id: The trace to join; None when only the sampling decision was sent.
        parent_id: The parent span; None when there is none.
        is_sampled: Upstream's sampling decision; None when it was left open.
        is_timed: Whether the trace id starts with its time, as X-Ray's do.
        trace_state: W3C vendor data, passed on unchanged.
    """

    trace_id: int | None = None
    parent_id: int | None = None
    is_sampled: bool | None = None
    is_timed: bool = True
    trace_state: str | None = None

    @property
    def is_xray(self) -> bool:
        """Tell whether X-Ray's header named the trace."""
        return self.trace_id is not None and self.is_timed


NOTHING = TraceContext()


def incoming(header: str | None, lambda_context: Any = None) -> TraceContext:
    """Read the context of an invocation.

    Args:
        header: The invocation's trace header, in X-Ray's or W3C's form; None to take the environment's
            `_X_AMZN_TRACE_ID`.
        lambda_context: Lambda's context object; a caller can pass `traceparent` in its client context.
    """
    context = parse_header(header or os.environ.get(XRAY_HEADER.name) or "")
    if context.trace_id is not None:
        return context
    carrier = _client_context(lambda_context)
    w3c = parse_traceparent(_text(carrier.get("traceparent")), _text(carrier.get("tracestate")))
    return w3c if w3c.trace_id is not None else context


def parse_header(header: str) -> TraceContext:
    """Read a trace header of either form."""
    if not header or len(header) > MAX_HEADER:
        return NOTHING
    return parse_xray(header) if "=" in header else parse_traceparent(header)


def parse_xray(header: str) -> TraceContext:
    """Read `Root=1-…;Parent=…;Sampled=1`. Each member is checked separately; their order does not matter."""
    members: dict[str, str] = {}
    for member in header.split(";"):
        key, _, value = member.partition("=")
        members.setdefault(key.strip().lower(), value.strip())
    root = XRAY_ROOT.fullmatch(members.get("root", ""))
    trace_id = int(root.group(1) + root.group(2), 16) if root else 0
    parent = members.get("parent", "")
    return TraceContext(
        trace_id=trace_id or None,
        parent_id=(int(parent, 16) or None) if SPAN_ID.fullmatch(parent) else None,
        is_sampled=SAMPLED.get(members.get("sampled", "")),
    )


def parse_traceparent(header: str, state: str = "") -> TraceContext:
    """Read W3C's `00-<trace>-<span>-<flags>`."""
    match = TRACEPARENT.fullmatch(header.strip().lower()) if len(header) <= MAX_HEADER else None
    if match is None or match.group(1) == "ff" or (match.group(1) == "00" and match.group(5)):
        return NOTHING
    trace_id, parent_id = int(match.group(2), 16), int(match.group(3), 16)
    if not trace_id or not parent_id:
        return NOTHING
    is_sampled = bool(int(match.group(4), 16) & 1)
    return TraceContext(trace_id, parent_id, is_sampled, is_timed=False, trace_state=state[:512] or None)


def xray_header(trace_id: int, span_id: int, *, is_sampled: bool) -> str:
    """Render X-Ray's header, which a chained invoke passes to the function it calls."""
    digits = hex_trace(trace_id)
    return f"Root=1-{digits[:8]}-{digits[8:]};Parent={hex_span(span_id)};Sampled={int(is_sampled)}"


def traceparent(trace_id: int, span_id: int, *, is_sampled: bool) -> str:
    """Render W3C's header."""
    return f"00-{hex_trace(trace_id)}-{hex_span(span_id)}-{int(is_sampled):02x}"


def _client_context(lambda_context: Any) -> Mapping[str, Any]:
    """Return the `custom` part of a client context, which is an object on Lambda and a dictionary in emulators."""
    given = getattr(lambda_context, "client_context", None)
    custom = given.get("custom") if isinstance(given, Mapping) else getattr(given, "custom", None)
    return custom if isinstance(custom, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
