"""`durable-debug stop EXECUTION`: stops an execution from outside."""

from argparse import ArgumentParser, Namespace

from durable_debugger.cli.acting import acting_client, add_acting_options, is_on_aws
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.output import Output
from durable_debugger.sources.files import is_file_reference
from durable_debugger.sources.found import Loaded, NotFoundError
from durable_debugger.sources.local import LocalExecutions
from durable_debugger.sources.references import arn_in, nearest
from durable_execution.protocol import ErrorObject


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("execution", metavar="EXECUTION", help="ID, unique prefix of an ID, name or ARN")
    parser.add_argument("--message", help="reason, stored as the message of the execution's error")
    parser.add_argument("--type", help="error type")
    add_acting_options(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Stop an execution."""
    arn = arn_in(arguments.execution) if is_on_aws(arguments) else _local_arn(arguments)
    if arn is None:
        raise CommandError("on AWS, `stop` needs the execution's full ARN")
    error = ErrorObject(arguments.message, arguments.type).to_wire()
    with acting_client(arguments) as client:
        client.stop_durable_execution(DurableExecutionArn=arn, **({"Error": error} if error else {}))
    output.say(f"stopped {arn}")
    return Exit.OK


def _local_arn(arguments: Namespace) -> str | None:
    if is_file_reference(arguments.execution):
        raise CommandError(
            f"{arguments.execution} is a file; only executions in a local store or on AWS can be stopped"
        )
    local = LocalExecutions(arguments.store)
    try:
        found = local.find(arguments.execution, arn_in(arguments.execution))
        if not isinstance(found, Loaded):
            raise NotFoundError(arguments.execution, [found], nearest(arguments.execution, list(local.executions())))
        return found.execution.arn
    finally:
        local.close()
