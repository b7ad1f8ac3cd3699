"""`durable-debug EXECUTION`: opens the debugger; without an execution, a list to choose from."""

from argparse import ArgumentParser, Namespace

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.launching import add_screen_options, launch
from durable_debugger.cli.looking import EXECUTION_HELP, add_place_options, find_execution, places
from durable_debugger.cli.output import Output
from durable_debugger.cli.showing import session_of
from durable_debugger.sources.found import NotFoundError
from durable_debugger.sources.places import Library

VIEWS = ("tree", "timeline", "step", "diff", "events")


def add_arguments(parser: ArgumentParser) -> None:
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


def run(arguments: Namespace, output: Output) -> int:
    """Open the debugger."""
    if arguments.execution is None:
        _need_terminal(output, "run `durable-debug list` for text")
        return launch(arguments, library=Library(places(arguments)))
    try:
        loaded = find_execution(arguments)
    except NotFoundError as error:
        if not output.is_terminal:
            raise
        return launch(arguments, library=Library(places(arguments)), missing=error)
    _need_terminal(output, "run `durable-debug show EXECUTION` for text")
    session = session_of(loaded, arguments)
    return launch(arguments, session, loaded=loaded)


def _need_terminal(output: Output, advice: str) -> None:
    if not output.is_terminal:
        raise CommandError(f"the debugger needs a terminal, and stdout is not one; {advice}", Exit.USAGE)
