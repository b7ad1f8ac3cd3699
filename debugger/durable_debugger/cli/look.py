"""`durable-debug EXECUTION`: opens the debugger; without an execution, a list to choose from.

`durable-debug list`: prints recent executions.

`durable-debug show EXECUTION`: prints an execution as text or JSON.

`durable-debug diff A B`: compares two executions, aligned call by call.

Shows a comparison, in the debugger or as text.
"""

from argparse import ArgumentParser, Namespace
from itertools import islice

from durable_debugger.cli.command_line import positive, word_of
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.launching import add_screen_options, launch
from durable_debugger.cli.options import (
    EXECUTION_HELP,
    READING_NEEDS,
    add_cost_options,
    add_place_options,
    add_secret_option,
    cost_terms,
    find_execution,
    places,
    session_of,
)
from durable_debugger.cli.output import Output
from durable_debugger.model.differences import Differences
from durable_debugger.model.facts import state_of
from durable_debugger.model.report import execution_report
from durable_debugger.model.session import Session, title_of
from durable_debugger.sources.aws import AwsPlace
from durable_debugger.sources.files import file_size
from durable_debugger.sources.found import Listed, Loaded
from durable_debugger.sources.places import AwsExecutions, Library, Place, find
from durable_debugger.sources.traces import stored_traces
from durable_debugger.text import durations, payloads
from durable_debugger.text.cells import pad, pad_left, safe
from durable_debugger.text.segments import Line, Part, fit
from durable_debugger.views.chrome import headline_lines, status_line
from durable_debugger.views.diff import DiffMode, diff_header, diff_line, why_lines
from durable_debugger.views.events import event_line
from durable_debugger.views.outline import outline_line
from durable_debugger.views.timeline import Chart, axis_line, timeline_legend, timeline_line
from durable_execution.clock import SystemClock
from durable_execution.comparison.call_tree import tree_of
from durable_execution.comparison.comparison import compare
from durable_execution.divergence import Severity
from durable_execution.explain import StateKind, explain_execution
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import ExecutionStatus

LARGE = 2_000_000
"""Files of more bytes are read while the app is on the screen, like everything that is not a file."""

VIEWS = ("tree", "timeline", "step", "diff", "events")


def add_open_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("execution", metavar="EXECUTION", nargs="?", help=EXECUTION_HELP)
    parser.add_argument("--replay-trace", metavar="FILE", help="replay trace to read together with a history file")
    parser.add_argument("--view", choices=VIEWS, default="tree", help="view to open (default: tree)")
    parser.add_argument(
        "--at",
        metavar="WHERE",
        help="position for the step view: a call number, i2 for invocation 2, or a time such as 41.2s or 01:30",
    )
    add_screen_options(parser)
    add_place_options(parser)


def run_open(arguments: Namespace, output: Output) -> int:
    """Open the debugger."""
    if arguments.execution is None:
        _need_terminal(output, "run `durable-debug list` for text")
        return launch(arguments, library=Library(places(arguments)))
    size = file_size(arguments.execution)
    if output.is_terminal and not 0 < size <= LARGE and arguments.execution != "-":
        words = f"{arguments.execution}, {payloads.size(size)}" if size else arguments.execution
        return launch(arguments, load=(lambda: _read(arguments), words), library=Library(places(arguments)))
    loaded = find_execution(arguments)
    _need_terminal(output, "run `durable-debug show EXECUTION` for text")
    session = session_of(loaded, arguments)
    return launch(arguments, session, loaded=loaded, library=Library(places(arguments)))


def _read(arguments: Namespace) -> tuple[Session, Loaded]:
    loaded = find_execution(arguments)
    return session_of(loaded, arguments), loaded


def _need_terminal(output: Output, advice: str) -> None:
    if not output.is_terminal:
        raise CommandError(f"the debugger needs a terminal, and stdout is not one; {advice}", Exit.USAGE)


DEFAULT_LIMIT = 30


def add_list_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--limit", type=positive, default=DEFAULT_LIMIT, metavar="N", help="number of executions (default: %(default)s)"
    )
    parser.add_argument(
        "--status",
        action="append",
        type=word_of(ExecutionStatus),
        metavar="STATUS",
        help=f"{', '.join(ExecutionStatus)}; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--ascii", action="store_true", help="write ASCII characters only")
    add_place_options(parser)


def run_list(arguments: Namespace, output: Output) -> int:
    """Print recent executions."""
    wanted: set[str] = set(arguments.status or ())
    place = _place(arguments)
    shown = (
        each
        for each in place.executions()
        if (not wanted or each.status in wanted) and arguments.function in (None, each.function)
    )
    found = list(islice(shown, arguments.limit))
    if arguments.json:
        return output.document({"executions": [_wire(each) for each in found]}, Exit.OK)
    if not found and (wanted or arguments.function):
        chosen = " or ".join([*sorted(wanted), *([f"of function {arguments.function}"] if arguments.function else [])])
        output.say(
            f"no executions in {place.words} are {chosen}" if wanted else f"no executions {chosen} in {place.words}"
        )
    elif not found:
        output.say(f"no executions in {place.words}; start one with `durable-debug run MODULE:HANDLER --input JSON`")
    now = SystemClock().now()
    for each in found:
        ended = each.ended_at or (now if each.status == "RUNNING" else None)
        seconds = durations.between(each.started_at, ended)
        age = durations.age(each.started_at, now) if each.started_at else ""
        output.line(fit(_line(each, age, durations.short(seconds)), output.width))
    return Exit.OK


def _place(arguments: Namespace) -> Place:
    """The place with replay traces if the options name one, AWS if they select it, else the local store."""
    if arguments.traces is not None:
        return stored_traces(arguments.traces, region=arguments.region, profile=arguments.profile)
    if arguments.function and (arguments.region or arguments.profile or arguments.endpoint_url):
        return AwsExecutions(AwsPlace(arguments.region, arguments.profile, arguments.endpoint_url), arguments.function)
    return places(arguments)[0]


def _line(each: Listed, age: str, took: str) -> Line:
    state = state_of(each.status)
    return [
        Part(f"{state.glyph} {each.status:<10} ", state.role),
        Part(pad(safe(each.function), 22) + " ", "name"),
        Part(f"{each.id}  "),
        Part(pad_left(took, 8) + "  "),
        Part(pad(age, 15), "dim"),
        Part(safe(each.forked_from) or ("" if each.name == each.id else safe(each.name)), "dim"),
    ]


def _wire(each: Listed) -> dict[str, str | None]:
    return {
        "arn": each.arn,
        "id": each.id,
        "name": each.name,
        "function": each.function,
        "status": each.status,
        "started_at": each.started_at.isoformat() if each.started_at else None,
        "ended_at": each.ended_at.isoformat() if each.ended_at else None,
        **({"forked_from": each.forked_from} if each.forked_from else {}),
    }


def add_show_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = READING_NEEDS
    parser.add_argument("execution", metavar="EXECUTION", help=EXECUTION_HELP)
    parser.add_argument("--replay-trace", metavar="FILE", help="replay trace to read together with a history file")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--timeline", action="store_true", help="print one bar per call, with idle time folded")
    form.add_argument("--trace", action="store_true", help="print its spans as a tree, as a tracing backend shows them")
    form.add_argument("--events", action="store_true", help="print the raw history, one line per event")
    form.add_argument("--cost", action="store_true", help="estimate what it costs; with --json, as JSON")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--ascii", action="store_true", help="write ASCII characters only")
    add_cost_options(parser)
    add_secret_option(parser)
    add_place_options(parser)


def run_show(arguments: Namespace, output: Output) -> int:
    """Print an execution."""
    loaded = find_execution(arguments)
    if arguments.cost:
        return _print_cost(loaded.execution, arguments, output)
    session = session_of(loaded, arguments)
    if arguments.json:
        hidden = session.secrets
        report = execution_report(hidden.execution(loaded.execution) if hidden else loaded.execution)
        return output.document(report, Exit.OK)
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
    found = explain_execution(loaded.execution, as_of=loaded.as_of)
    lacks = [found.headline] if found.state is StateKind.HISTORY_INCOMPLETE else []
    for note in (*lacks, *loaded.execution.notes):
        output.say(f"note: {note}")
    return Exit.OK


def _print_cost(execution: RecordedExecution, arguments: Namespace, output: Output) -> int:
    from durable_debugger.model.cost import usage_of
    from durable_debugger.views.fleet_table import cost_lines

    terms, usage = cost_terms(arguments), usage_of(execution)
    if arguments.json:
        return output.document(terms.report(usage), Exit.OK)
    output.lines(cost_lines(usage, terms.bill(usage), terms))
    return Exit.OK


def _print_timeline(session: Session, output: Output) -> None:
    chart = Chart()
    output.line(axis_line(session, chart, output.width))
    output.lines(timeline_line(session, chart, row, output.width) for row in session.outline.visible)
    output.lines(timeline_legend(session, chart, output.width))


def _span_tree(execution: RecordedExecution) -> str:
    from durable_execution.telemetry.backfill import backfill
    from durable_execution.telemetry.span_tree import render_tree

    try:
        return render_tree(backfill(execution))
    except ValueError as error:
        raise CommandError(f"cannot build spans from this execution: {error}", Exit.UNLOADABLE) from error


def add_diff_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("execution", metavar="A", help=f"the first execution: {EXECUTION_HELP}")
    parser.add_argument("other", metavar="B", help="the execution to compare with A")
    parser.add_argument("--headless", action="store_true", help="print text, even in a terminal")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    add_screen_options(parser)
    add_place_options(parser)


def run_diff(arguments: Namespace, output: Output) -> int:
    """Compare two executions."""
    where = places(arguments)
    loaded, other = find(arguments.execution, where), find(arguments.other, where)
    recorded = loaded.execution
    handler = recorded.handler or recorded.function_name or "execution"
    rows = {operation.id: row for row, operation in enumerate(recorded.operations)}
    titles = (title_of(recorded, loaded.title), title_of(other.execution, other.title))
    sides = (tree_of(recorded, with_outcomes=True), tree_of(other.execution, with_outcomes=True))
    comparison = compare(*sides, handler=handler)
    differences = Differences(comparison, rows, replayed_by="", labels=titles)
    session = session_of(loaded, arguments, differences=differences)
    if arguments.json:
        return output.document(comparison_report(differences), exit_code(differences))
    if wants_text(arguments, output):
        print_comparison(session, differences, output)
    else:
        arguments.view = "diff"
        return launch(arguments, session)
    return exit_code(differences)


def print_comparison(session: Session, differences: Differences, output: Output) -> None:
    """Print every call of both sides, and an explanation of each root difference."""
    output.line(diff_header(differences, output.width))
    mode = DiffMode()
    for row in differences.aligned:
        output.line(diff_line(session, mode, row, output.width))
    for index in differences.roots:
        output.line()
        row = differences.aligned[index]
        output.lines(why_lines(row.divergence, row, output.width))
    if not differences.roots:
        output.line()
        if differences.is_failure:
            output.lines(headline_lines(session, output.width))
        else:
            output.lines(why_lines(None, None, output.width))


def comparison_report(differences: Differences) -> dict[str, object]:
    """The differences as JSON-ready values."""
    return {
        "divergences": [divergence.to_wire() for divergence in differences.comparison.divergences],
        "roots": len(differences.roots),
        "follow_on": differences.follow_on,
    }


def exit_code(differences: Differences) -> Exit:
    """1 if the sides differ by more than informational remarks, else 0."""
    found = differences.comparison.divergences
    return Exit.DIVERGED if any(each.severity is not Severity.INFO for each in found) else Exit.OK


def wants_text(arguments: Namespace, output: Output) -> bool:
    """Whether to print instead of opening the debugger."""
    return bool(arguments.headless or arguments.json or not output.is_terminal)
