"""`durable-debug callback succeed|fail|heartbeat ID`: completes a callback from outside the execution."""

from argparse import ArgumentParser, Namespace

from durable_debugger.cli.acting import acting_client, add_acting_options
from durable_debugger.cli.exits import Exit
from durable_debugger.cli.output import Output
from durable_debugger.cli.payload import read_json, read_text
from durable_execution.protocol import ErrorObject


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    outcomes = parser.add_subparsers(dest="outcome", required=True, metavar="succeed|fail|heartbeat")
    succeed = outcomes.add_parser("succeed", help="complete the callback with a result")
    succeed.add_argument(
        "--result", metavar="JSON|@FILE", help="the result: JSON, @file, or - for stdin (default: none)"
    )
    succeed.add_argument("--raw", action="store_true", help="send the result unchanged, even if it is not JSON")
    fail = outcomes.add_parser("fail", help="complete the callback with an error")
    fail.add_argument("--message", default="failed by durable-debug", help="error message (default: %(default)s)")
    fail.add_argument("--type", default="CallbackError", help="error type (default: %(default)s)")
    fail.add_argument("--data", metavar="TEXT", help="error data for the application")
    heartbeat = outcomes.add_parser("heartbeat", help="report that the external work is still running")
    for each in (succeed, fail, heartbeat):
        each.add_argument("id", metavar="ID", help="callback ID, as printed by run and show")
        add_acting_options(each)


def run(arguments: Namespace, output: Output) -> int:
    """Complete a callback, or restart its heartbeat timeout."""
    with acting_client(arguments) as client:
        if arguments.outcome == "heartbeat":
            client.send_durable_execution_callback_heartbeat(CallbackId=arguments.id)
        elif arguments.outcome == "fail":
            error = ErrorObject(arguments.message, arguments.type, arguments.data)
            client.send_durable_execution_callback_failure(CallbackId=arguments.id, Error=error.to_wire())
        else:
            result = _result(arguments)
            body = {} if result is None else {"Result": result.encode()}
            client.send_durable_execution_callback_success(CallbackId=arguments.id, **body)
    done = {"succeed": "completed", "fail": "failed", "heartbeat": "heartbeat sent"}[arguments.outcome]
    output.say(f"callback {done}")
    return Exit.OK


def _result(arguments: Namespace) -> str | None:
    if arguments.result is None:
        return None
    if not arguments.raw:
        read_json(arguments.result, "--result")
    return read_text(arguments.result, "--result")
