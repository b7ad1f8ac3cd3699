"""`durable-debug explain EXECUTION`: what it does, why it does not continue, why it failed, and what you can do."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace

from durable_debugger.cli.exits import Exit
from durable_debugger.cli.options import (
    EXECUTION_HELP,
    READING_NEEDS,
    add_place_options,
    add_secret_option,
    find_execution,
    places,
)
from durable_debugger.cli.output import Output
from durable_debugger.cli.verify import add_import_option, add_time_limit, refuse_without_handler, worker_options
from durable_debugger.model.differences import divergence_at_run_time
from durable_debugger.model.secrets import Secrets
from durable_debugger.sources.found import AmbiguousError, Loaded, NoEventsError, NotFoundError
from durable_debugger.sources.places import find
from durable_debugger.text.cells import safe
from durable_execution.divergence import Divergence
from durable_execution.errors import DurableError
from durable_execution.explain import explain_execution
from durable_execution.history.recorded import RecordedExecution


def add_explain_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = READING_NEEDS
    parser.add_argument("execution", metavar="EXECUTION", help=EXECUTION_HELP)
    parser.add_argument(
        "target",
        nargs="?",
        metavar="MODULE_OR_FILE:HANDLER",
        help="handler to replay the execution against, to explain it",
    )
    parser.add_argument("--replay-trace", metavar="FILE", help="replay trace to read together with a history file")
    add_time_limit(parser, " of the replay")
    parser.add_argument("--json", action="store_true", help="print the explanation as JSON")
    add_import_option(parser)
    add_secret_option(parser)
    add_place_options(parser)


def run_explain(arguments: Namespace, output: Output) -> int:
    """Explain an execution."""
    try:
        loaded = find_execution(arguments)
    except NoEventsError as error:  # a state like any other: it has an explanation
        loaded = error.loaded
    replayed = _divergence(loaded, arguments) if arguments.target else None
    divergence, invocation = (replayed, None) if replayed is not None else divergence_at_run_time(loaded.execution)
    found = explain_execution(
        _shown(loaded.execution, arguments),
        as_of=loaded.as_of,
        divergence=divergence,
        invocation=invocation,
        look=lambda arn: _invoked(arn, arguments),
    )
    code = Exit.DIVERGED if replayed is not None else Exit.OK
    if arguments.json:
        return output.document(found.to_wire(), code)
    for line in found.text.splitlines():
        output.line(safe(line))
    return code


def _divergence(loaded: Loaded, arguments: Namespace) -> Divergence | None:
    """The root difference of a replay of the execution against the handler."""
    from durable_execution.replay.checks import Handlers, Source
    from durable_execution.replay.workers.pool import check_in_workers

    options = replace(worker_options(arguments), has_rows=False)
    source = Source(loaded.origin, lambda: loaded.execution)
    (report,) = check_in_workers([source], Handlers.parse([arguments.target]), options)
    refuse_without_handler(report, arguments.target)
    return report.root


def _invoked(arn: str, arguments: Namespace) -> RecordedExecution | None:
    """An invoked execution; None when it cannot be read, so that only its ARN is shown."""
    try:
        return _shown(find(arn, places(arguments)).execution, arguments)
    except (AmbiguousError, NotFoundError, DurableError):
        return None


def _shown(execution: RecordedExecution, arguments: Namespace) -> RecordedExecution:
    return execution if arguments.show_secrets else Secrets().execution(execution)
