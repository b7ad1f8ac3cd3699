"""What may be shown of an execution: everything but secrets, unless they are asked for."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace

from durable_debugger.model.differences import Differences
from durable_debugger.model.secrets import Secrets
from durable_debugger.model.session import Session
from durable_debugger.sources.found import Loaded
from durable_execution.replay.recorded import RecordedExecution


def add_secret_option(parser: ArgumentParser) -> None:
    """Whether to show secrets."""
    parser.add_argument(
        "--show-secrets",
        action="store_true",
        help="show values that are hidden by their name or look: tokens, card numbers, …",
    )


def secrets_of(arguments: Namespace) -> Secrets | None:
    """What hides secrets; None when they may be shown."""
    return None if arguments.show_secrets else Secrets()


def session_of(
    loaded: Loaded,
    arguments: Namespace,
    *,
    execution: RecordedExecution | None = None,
    differences: Differences | None = None,
) -> Session:
    """A session on an execution that was found.

    Args:
        loaded: The execution and where it was found.
        arguments: The command's arguments.
        execution: What to show instead of what was loaded.
        differences: How another side differs from it.
    """
    return Session(
        execution or loaded.execution,
        as_of=loaded.as_of,
        origin=loaded.origin,
        title=loaded.title,
        differences=differences,
        secrets=secrets_of(arguments),
    )


def without_secrets(execution: RecordedExecution, arguments: Namespace) -> RecordedExecution:
    """The execution as it may be given away, events included."""
    secrets = secrets_of(arguments)
    if secrets is None:
        return execution
    hidden = secrets.execution(execution)
    return replace(hidden, events=tuple(map(secrets.event, execution.events)))
