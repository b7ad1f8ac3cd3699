"""Keeps the spans of executions in files, one per execution, so that you can see them without a collector."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from durable_execution.observers import InvocationEnded, InvocationStarted
from durable_execution.private_files import make_private_directory, open_private
from durable_execution.protocol import ExecutionArn
from durable_execution.telemetry.environment_memory import RootLedger, Surroundings, due_times
from durable_execution.telemetry.forwarding_observer import ForwardingObserver
from durable_execution.telemetry.identity import identify, invocation_names
from durable_execution.telemetry.open_span import OpenSpan, RecordOutlet
from durable_execution.telemetry.settings import PLAIN, TopSpans
from durable_execution.telemetry.span_view import SpanView
from durable_execution.telemetry.spans import Attributes, SpanRecord
from durable_execution.telemetry.trace_context import incoming
from durable_execution.telemetry.trace_views import VIEWS

SUFFIX = ".jsonl"
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
MAX_NAME = 180
WRITE_AT = 256
"""Spans held in memory before they are written."""


class SpanSink:
    """A directory with one file of spans for each execution: JSON lines, append-only.

    Written lines are in the operating system's hands: they survive the end of the process, but not a power failure.

    Attributes:
        directory: The directory of the files.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.roots = RootLedger()

    def append(self, execution_arn: str, records: Iterable[SpanRecord], *, view: str) -> None:
        """Append spans to an execution's file.

        Raises:
            OSError: The file cannot be written.
        """
        lines = "".join(json.dumps({"view": view, **record.to_json()}) + "\n" for record in records)
        if not lines:
            return
        make_private_directory(self.directory)
        with open_private(self.path_of(execution_arn), "ab") as file:
            file.write(lines.encode())

    def read(self, execution_arn: str, *, view: str | None = None) -> list[SpanRecord]:
        """Return the spans of an execution, each once, the version written last; none when there is no file."""
        path = self.path_of(execution_arn)
        return read_spans(path, view=view) if path.is_file() else []

    def path_of(self, execution_arn: str) -> Path:
        """Return the path of the execution's file, which is named by the execution's id."""
        return self.directory / (_file_name(execution_arn) + SUFFIX)


def read_spans(path: str | Path, *, view: str | None = None) -> list[SpanRecord]:
    """Read a file of spans. Lines that a crash cut off, or that are not spans, are skipped.

    Args:
        path: The file.
        view: If given, return only the spans of this view.

    Raises:
        OSError: The file cannot be read.
    """
    found: dict[tuple[str, str, str], SpanRecord] = {}
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        known = _parsed(line)
        if known is not None and (view is None or known[0] == view):
            found[known[0], known[1].trace_id, known[1].span_id] = known[1]
    return list(found.values())


class SpanKeeper(ForwardingObserver):
    """Writes the spans of one invocation to a sink. One object per invocation."""

    def __init__(self, sink: SpanSink, *, view: str = "execution", top: TopSpans = PLAIN) -> None:
        """Prepare.

        Args:
            sink: Receives the spans.
            view: `execution` or `invocation`.
            top: How the root and Workflow look.
        """
        super().__init__()
        self._sink = sink
        self._top = top
        self._view = VIEWS[view]
        self._outlet: _WritingOutlet | None = None

    def make_view(self, started: InvocationStarted) -> SpanView:
        """Derive the ids."""
        context = incoming(started.trace_header, started.lambda_context)
        identity = identify(started, context, invocation_names)
        self._outlet = _WritingOutlet(self._sink, identity.arn, self._view.view)
        around = Surroundings(
            has_root=self._sink.roots.is_due(identity, started),
            top=self._top,
            is_xray=context.is_xray,
            due_times=due_times,
        )
        return self._view(identity, started, self._outlet, around)

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """Write the remaining spans."""
        super().on_invocation_ended(notification)
        if self._outlet is not None:
            self._outlet.write()


class _WritingOutlet(RecordOutlet):
    def __init__(self, sink: SpanSink, arn: str, view: str) -> None:
        super().__init__()
        self._sink, self._arn, self._view = sink, arn, view

    def close(self, span: OpenSpan, attributes: Attributes) -> None:
        super().close(span, attributes)
        if len(self.records) >= WRITE_AT:
            self.write()

    def write(self) -> None:
        records, self.records = self.records, []
        self._sink.append(self._arn, records, view=self._view)


def _parsed(line: str) -> tuple[str, SpanRecord] | None:
    try:
        data: Any = json.loads(line)
        return str(data["view"]), SpanRecord.from_json(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _file_name(execution_arn: str) -> str:
    try:
        name = ExecutionArn.parse(execution_arn).id
    except ValueError:
        name = execution_arn
    return UNSAFE.sub("_", name)[-MAX_NAME:]
