"""`durable-debug diff A B`: compares two executions, aligned call by call."""

from argparse import ArgumentParser, Namespace

from durable_debugger.cli.comparing import comparison_report, exit_code, print_comparison, wants_text
from durable_debugger.cli.launching import add_screen_options, launch
from durable_debugger.cli.looking import EXECUTION_HELP, add_place_options, places
from durable_debugger.cli.output import Output
from durable_debugger.cli.showing import session_of
from durable_debugger.model.differences import Differences
from durable_debugger.model.session import title_of
from durable_debugger.sources.places import find
from durable_execution.replay.call_tree import tree_of
from durable_execution.replay.comparison import compare


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("execution", metavar="A", help=f"the first execution: {EXECUTION_HELP}")
    parser.add_argument("other", metavar="B", help="the execution to compare with A")
    parser.add_argument("--headless", action="store_true", help="print text, even in a terminal")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    add_screen_options(parser)
    add_place_options(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Compare two executions."""
    where = places(arguments)
    loaded, other = find(arguments.execution, where), find(arguments.other, where)
    recorded = loaded.execution
    handler = recorded.handler or recorded.function_name or "execution"
    rows = {operation.id: row for row, operation in enumerate(recorded.operations)}
    titles = (title_of(recorded, loaded.title), title_of(other.execution, other.title))
    comparison = compare(tree_of(recorded), tree_of(other.execution), handler=handler)
    differences = Differences(comparison, rows, replayed_by="", labels=titles)
    session = session_of(loaded, arguments, differences=differences)
    if arguments.json:
        output.json(comparison_report(differences))
    elif wants_text(arguments, output):
        print_comparison(session, differences, output)
    else:
        arguments.view = "diff"
        return launch(arguments, session)
    return exit_code(differences)
