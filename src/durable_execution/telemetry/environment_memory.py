"""Remembers when next attempts are due: the service reports it while a step is PENDING, but not once it is READY.

An environment that started in the meantime does not know. Only the history then shows the latency of that attempt. Also
remembers which executions' synthetic root was sent, so that it is sent only once unless something was lost.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from threading import Lock
from typing import Any, NamedTuple

from durable_execution.observers import InvocationStarted
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.settings import PLAIN, TopSpans

logger = logging.getLogger("durable_execution")

XRAY_BYTES = 500_000
"""The size of a trace that X-Ray accepts, by its documentation."""
XRAY_WARNING_BYTES = 400_000
REMEMBERED_DUE_TIMES = 4_096


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
            while len(self._due) > REMEMBERED_DUE_TIMES:
                self._due.popitem(last=False)

    def recall(self, arn: str, operation_id: str) -> datetime | None:
        """Return when the attempt was due, if this process knows."""
        with self._lock:
            return self._due.get((arn, operation_id))


due_times = DueTimes()
"""The due times of this process."""
REMEMBERED_ROOTS = 1_024


class RootLedger:
    """Remembers the roots this process has sent."""

    def __init__(self) -> None:
        self._has_arrived: OrderedDict[tuple[str, int], bool] = OrderedDict()
        self._lock = Lock()

    def is_due(self, identity: TraceIdentity, started: InvocationStarted) -> bool:
        """Tell whether to send the root with this invocation; if so, it counts as sent.

        The first invocation of an execution sends it. A later one sends it when nothing changed outside since the
        previous invocation, which must then have been cut off and may have lost its spans, and when the trace rolled over.
        """
        if identity.is_remote:
            return False
        key = (identity.arn, identity.trace_id)
        with self._lock:
            has_arrived = self._has_arrived.get(key)
            was_cut_off = not started.updated_operation_ids
            may_be_missing = has_arrived is None and (was_cut_off or identity.generation > 0)
            is_due = started.is_first or has_arrived is False or may_be_missing
            if is_due:
                self._has_arrived[key] = True
                self._has_arrived.move_to_end(key)
            while len(self._has_arrived) > REMEMBERED_ROOTS:
                self._has_arrived.popitem(last=False)
        return is_due

    def lose(self, identity: TraceIdentity) -> None:
        """Forget the root: spans of this invocation may not have arrived."""
        self._forget(identity.arn, identity.trace_id)

    def lose_spans(self, spans: Iterable[Any]) -> None:
        """Forget the roots among spans that an exporter gave up."""
        for span in spans:
            attributes = span.attributes or {}
            if names.SYNTHETIC_ROOT in attributes:
                self._forget(str(attributes.get(names.EXECUTION_ARN)), span.context.trace_id)

    def _forget(self, arn: str, trace_id: int) -> None:
        with self._lock:
            if (arn, trace_id) in self._has_arrived:
                self._has_arrived[arn, trace_id] = False


sent_roots = RootLedger()
"""The roots that this process has sent."""


class TraceSizes:
    """Adds up the sizes of traces, as far as this process sends them, and warns before X-Ray drops spans."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[int, int] = OrderedDict()
        self._lock = Lock()

    def add(self, identity: TraceIdentity, size_bytes: int) -> None:
        """Add the spans of an invocation."""
        with self._lock:
            before = self._sizes.pop(identity.trace_id, 0)
            after = self._sizes[identity.trace_id] = before + size_bytes
            while len(self._sizes) > REMEMBERED_ROOTS:
                self._sizes.popitem(last=False)
        if before < XRAY_WARNING_BYTES <= after:
            logger.warning(
                "the trace of this execution has at least %d KB, and X-Ray accepts %d KB: spans beyond that are missing. Move "
                "parts of the workflow into chained invokes, group steps, or send the spans to a different backend",
                after // 1_000,
                XRAY_BYTES // 1_000,
                extra={"executionArn": identity.arn},
            )


trace_sizes = TraceSizes()
"""The sizes of the traces that this process sends to."""


class Surroundings(NamedTuple):
    """What a view knows about an invocation besides its notifications.

    Attributes:
        invocation_parent_id: The current span of the same trace when the invocation starts.
        has_root: Whether the synthetic root is sent with this invocation, even if the execution does not end in it.
        top: How the root and Workflow look.
        is_cold: Whether it is the first invocation of this environment; None when unknown.
        is_xray: Whether the trace came from X-Ray.
        due_times: Due times of next attempts, which the service no longer reports to this invocation.
    """

    invocation_parent_id: int | None = None
    has_root: bool = False
    top: TopSpans = PLAIN
    is_cold: bool | None = None
    is_xray: bool = False
    due_times: DueTimes | None = None
