"""`durable-debug gate FUNCTION MODULE:HANDLER`: checks whether a deployment would break running executions."""

from argparse import ArgumentParser, Namespace

from durable_debugger.cli.acting import acting_client, add_acting_options
from durable_debugger.cli.exits import Exit
from durable_debugger.cli.output import Output
from durable_debugger.cli.reporting import add_report_options, report_all
from durable_execution.replayer.checking import check
from durable_execution.replayer.gating import running_executions
from durable_execution.replayer.loading import load_handler
from durable_execution.replayer.replayer import DEFAULT_SECONDS


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("function", metavar="FUNCTION", help="the deployed function, by name or ARN")
    parser.add_argument("target", metavar="MODULE_OR_FILE:HANDLER", help="the code to deploy")
    parser.add_argument("--qualifier", metavar="VERSION", help="only executions of this version or alias")
    parser.add_argument(
        "--seconds",
        type=float,
        default=DEFAULT_SECONDS,
        metavar="N",
        help="time limit per execution, in seconds (default: %(default)s)",
    )
    add_report_options(parser)
    add_acting_options(parser, is_aws_default=True)


def run(arguments: Namespace, output: Output) -> int:
    """Check every running execution of a function."""
    handler = load_handler(arguments.target)
    with acting_client(arguments) as client:
        running = list(running_executions(client, arguments.function, qualifier=arguments.qualifier))
        if not running:
            output.say(f"no execution of {arguments.function} is running; a deployment cannot break any")
            return Exit.OK
        code = report_all(check(running, handler, seconds=arguments.seconds), len(running), arguments, output)
    count = f"{len(running)} running execution" + ("s" if len(running) != 1 else "")
    verdict = "is safe to deploy" if code == Exit.OK else "is not safe to deploy"
    output.say(f"{arguments.target} {verdict}: checked against {count}")
    return code
