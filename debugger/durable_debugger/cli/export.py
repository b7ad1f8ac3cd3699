"""`durable-debug export EXECUTION --to FORMAT`: writes an execution for other tools or other people."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.options import (
    EXECUTION_HELP,
    add_place_options,
    add_secret_option,
    find_execution,
    session_of,
    without_secrets,
)
from durable_debugger.cli.output import Output, is_unicode
from durable_debugger.cli.verify import recorded_lines
from durable_debugger.model.perfetto import perfetto_trace
from durable_debugger.model.report import execution_report
from durable_debugger.model.session import Session
from durable_debugger.sources.found import Loaded
from durable_debugger.views.page import html_page
from durable_execution.counts import counted
from durable_execution.history.documents import bundle_of, history_of, report_of
from durable_execution.private_files import open_private
from durable_execution.protocol.safe_text import json_text, printable
from durable_execution.replay.lines.line_recording import LineRecording
from durable_execution.telemetry.backfill import backfill
from durable_execution.telemetry.otlp import PROTOCOLS, send_otlp, to_otlp

FORMATS = ("history", "json", "bundle", "otlp", "html", "perfetto")


def add_export_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("execution", metavar="EXECUTION", help=EXECUTION_HELP)
    parser.add_argument("--replay-trace", metavar="FILE", help="replay trace to read together with a history file")
    parser.add_argument(
        "--to",
        required=True,
        choices=FORMATS,
        help="format to write; check, show, replay and pytest read history (as the AWS CLI prints it), json and bundle",
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="file to write (default: stdout)")
    parser.add_argument(
        "--lines",
        metavar="MODULE_OR_FILE:HANDLER",
        help="with --to html: replay this handler, and step through its lines on the page",
    )
    otlp = parser.add_argument_group("with --to otlp")
    otlp.add_argument(
        "--endpoint", metavar="URL", help="send the spans to this collector, for example http://localhost:4318"
    )
    otlp.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        help="OTLP protocol to send with (default: OTEL_EXPORTER_OTLP_PROTOCOL, else http/protobuf)",
    )
    otlp.add_argument(
        "--service-name", metavar="NAME", help="service of the spans (default: OTEL_SERVICE_NAME, else the function)"
    )
    otlp.add_argument(
        "--span-view",
        choices=("execution", "invocation"),
        default="execution",
        help="span layout (default: %(default)s)",
    )
    otlp.add_argument("--trace-header", metavar="TEXT", help="X-Ray or W3C trace header that the invocations received")
    add_secret_option(parser)
    add_place_options(parser)


def run_export(arguments: Namespace, output: Output) -> int:
    """Write an execution."""
    loaded = find_execution(arguments)
    if arguments.to == "otlp" and arguments.endpoint:
        spans = _spans(loaded, arguments)
        count = send_otlp(
            spans,
            service_name=arguments.service_name,
            default_service_name=_service(loaded),
            endpoint=arguments.endpoint,
            protocol=arguments.protocol,
        )
        output.say(f"sent {counted(count, 'span')} to {arguments.endpoint}")
        return Exit.OK
    with _target(arguments.output, output) as target:
        _write(loaded, arguments, target)
    if arguments.output:
        output.say(f"wrote {arguments.output}")
    return Exit.OK


def _write(loaded: Loaded, arguments: Namespace, target: TextIO) -> None:
    execution = without_secrets(loaded.execution, arguments)
    match arguments.to:
        case "otlp":
            _dump(to_otlp(_spans(loaded, arguments), service_name=arguments.service_name or _service(loaded)), target)
        case "history":
            _dump(history_of(execution), target, indent=4)
        case "json":
            _dump(report_of(execution, execution_report(execution)), target)
        case "bundle":
            _dump(bundle_of(execution), target)
        case "perfetto":
            _dump(perfetto_trace(execution), target)
        case _:
            session = session_of(loaded, arguments)
            session.outline.unfold_all()
            page = printable("".join(f"{line}\n" for line in html_page(session, _recorded_lines(session, arguments))))
            target.write(page if is_unicode(target) else page.encode("ascii", "xmlcharrefreplace").decode())


def _recorded_lines(session: Session, arguments: Namespace) -> LineRecording | None:
    """Replay today's code in a process of its own and record its lines; None if that was not requested."""
    if arguments.lines is None:
        return None
    return recorded_lines(session.raw, arguments.lines, hides_secrets=session.secrets is not None)


def _spans(loaded: Loaded, arguments: Namespace) -> Any:
    try:
        return backfill(loaded.execution, view=arguments.span_view, trace_header=arguments.trace_header)
    except ValueError as error:
        raise CommandError(f"cannot build spans from {loaded.origin}: {error}", Exit.UNLOADABLE) from error


def _service(loaded: Loaded) -> str:
    return loaded.execution.function_name or loaded.execution.handler or "durable-execution"


def _dump(value: Any, target: TextIO, indent: int | None = None) -> None:
    target.write(json_text(value, indent=indent, is_ascii=not is_unicode(target)) + "\n")


@contextmanager
def _target(path: Path | None, output: Output) -> Iterator[TextIO]:
    if path is None:
        yield output.data
        return
    try:
        with open_private(path, "w") as file:
            yield file
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from error
