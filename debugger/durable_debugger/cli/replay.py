"""`durable-debug replay EXECUTION MODULE:HANDLER`: replays a recording against the current code."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace

from durable_debugger.cli.ide import add_ide_options, debug, wants_ide
from durable_debugger.cli.launching import add_screen_options, launch
from durable_debugger.cli.look import print_comparison, wants_text
from durable_debugger.cli.options import EXECUTION_HELP, add_place_options, find_execution, places, session_of
from durable_debugger.cli.output import Output
from durable_debugger.cli.verify import add_import_option, add_time_limit, refuse_without_handler, worker_options
from durable_debugger.model.differences import differences_of
from durable_debugger.model.session import Session
from durable_debugger.sources.found import Loaded
from durable_debugger.sources.places import Library
from durable_execution.counts import counted
from durable_execution.replay.checks import Handlers, Source
from durable_execution.replay.formats import extent
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.replay.workers.pool import ReplayPool


def add_replay_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("execution", metavar="EXECUTION", help=EXECUTION_HELP)
    parser.add_argument("target", metavar="MODULE_OR_FILE:HANDLER", help="handler to replay the recording against")
    parser.add_argument("--replay-trace", metavar="FILE", help="replay trace to read together with a history file")
    parser.add_argument("--headless", action="store_true", help="print text, even in a terminal")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_time_limit(parser)
    add_import_option(parser)
    add_ide_options(parser)
    add_screen_options(parser)
    add_place_options(parser)


def run_replay(arguments: Namespace, output: Output) -> int:
    """Replay an execution."""
    if wants_ide(arguments):
        loaded, report = _replayed(arguments)
        return debug(loaded.execution, report, arguments, output)
    if not arguments.json and not wants_text(arguments, output):
        return _in_debugger(arguments)
    loaded, report = _replayed(arguments)
    if arguments.json:
        return output.document(report.to_wire(), report.exit_code)
    session = _session(arguments, loaded, report)
    if session.differences is not None:
        print_comparison(session, session.differences, output)
    _say_rest(report, output)
    return int(report.exit_code)


def _in_debugger(arguments: Namespace) -> int:
    """Replay while the debugger is on the screen: finding a cause takes seconds."""
    codes: list[int] = []

    def load() -> tuple[Session, Loaded | None]:
        loaded, report = _replayed(arguments)
        codes.append(int(report.exit_code))
        return _session(arguments, loaded, report), None

    arguments.view = "diff"
    words = f"{arguments.execution}, and replaying it with {arguments.target}"
    result = launch(arguments, load=(load, words), target=arguments.target, library=Library(places(arguments)))
    return codes[0] if codes else result


def _replayed(arguments: Namespace) -> tuple[Loaded, ReplayReport]:
    options = replace(worker_options(arguments), has_rows=True)
    handlers = Handlers.parse([arguments.target])
    with ReplayPool(options) as pool:
        pool.prepare(handlers)
        loaded = find_execution(arguments)
        (report,) = pool.check([Source(loaded.origin, lambda: loaded.execution)], handlers)
    refuse_without_handler(report, arguments.target)
    return loaded, report


def _session(arguments: Namespace, loaded: Loaded, report: ReplayReport) -> Session:
    differences = differences_of(report, loaded.execution)
    return session_of(loaded, arguments, execution=report.execution or loaded.execution, differences=differences)


def _say_rest(report: ReplayReport, output: Output) -> None:
    """Print the rest of the replay's findings to stderr."""
    for suspect in report.effects:
        output.say(f"blocked: {suspect}")
    if report.error:
        what = "the recording cannot be judged" if report.verdict is Verdict.UNREADABLE else "the handler failed"
        output.say(f"{what}: {report.error}")
    for path in report.ends:
        output.say(f"the recording ends here: {path}")
    for note in report.notes:
        output.say(f"note: {note}")
    mark = "" if report.verdict is Verdict.DIVERGED else ":"
    output.say(f"{report.verdict.value}{mark} {extent(report)}, {counted(report.replays, 'replay')}")
