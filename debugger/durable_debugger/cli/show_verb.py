"""`durable-debug show EXECUTION`: prints an execution as text or JSON."""

from argparse import ArgumentParser, Namespace

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.looking import EXECUTION_HELP, add_place_options, find_execution
from durable_debugger.cli.output import Output
from durable_debugger.cli.showing import add_secret_option, session_of
from durable_debugger.model.report import execution_report
from durable_debugger.model.session import Session
from durable_debugger.views.chrome import status_line
from durable_debugger.views.events import event_line
from durable_debugger.views.outline import outline_line
from durable_debugger.views.timeline import Chart, axis_line, timeline_legend, timeline_line
from durable_execution.replay.recorded import RecordedExecution


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("execution", metavar="EXECUTION", help=EXECUTION_HELP)
    parser.add_argument("--replay-trace", metavar="FILE", help="replay trace to read together with a history file")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--timeline", action="store_true", help="print one bar per call, with idle time folded")
    form.add_argument("--trace", action="store_true", help="print its spans as a tree, as a tracing backend shows them")
    form.add_argument("--events", action="store_true", help="print the raw history, one line per event")
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--ascii", action="store_true", help="write ASCII characters only")
    add_secret_option(parser)
    add_place_options(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Print an execution."""
    loaded = find_execution(arguments)
    session = session_of(loaded, arguments)
    if arguments.json:
        output.json(execution_report(session.execution))
        return Exit.OK
    session.outline.unfold_all()
    if arguments.trace:
        output.line(_span_tree(loaded.execution))
        return Exit.OK
    output.line(status_line(session, output.width))
    if arguments.timeline:
        _print_timeline(session, output)
    elif arguments.events:
        output.lines(event_line(session, index, output.width) for index in range(len(loaded.execution.events)))
    else:
        output.lines(outline_line(session, row, output.width) for row in session.outline.visible)
    for note in loaded.execution.notes:
        output.say(f"note: {note}")
    return Exit.OK


def _print_timeline(session: Session, output: Output) -> None:
    chart = Chart()
    output.line(axis_line(session, chart, output.width))
    output.lines(timeline_line(session, chart, row, output.width) for row in session.outline.visible)
    output.lines(timeline_legend(session, chart, output.width))


def _span_tree(execution: RecordedExecution) -> str:
    from durable_execution.telemetry.backfill import backfill
    from durable_execution.telemetry.tree import render_tree

    try:
        return render_tree(backfill(execution))
    except ValueError as error:
        raise CommandError(f"cannot build spans from this execution: {error}", Exit.UNLOADABLE) from error
