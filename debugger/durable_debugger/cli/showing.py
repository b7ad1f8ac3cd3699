"""Hides secrets in everything that is shown of an execution, unless you ask for them."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace

from durable_debugger.model.differences import Differences
from durable_debugger.model.secrets import Secrets
from durable_debugger.model.session import Session
from durable_debugger.sources.found import Loaded
from durable_execution.replay.recorded import RecordedExecution


def add_secret_option(parser: ArgumentParser) -> None:
    """Add the option that shows secrets."""
    parser.add_argument(
        "--show-secrets",
        action="store_true",
        help="show values that look like secrets: tokens, card numbers, …",
    )


def secrets_of(arguments: Namespace) -> Secrets | None:
    """The rules that hide secrets; None with --show-secrets."""
    return None if arguments.show_secrets else Secrets()


def session_of(
    loaded: Loaded,
    arguments: Namespace,
    *,
    execution: RecordedExecution | None = None,
    differences: Differences | None = None,
) -> Session:
    """A session on a loaded execution.

    Args:
        loaded: The execution and where it was found.
        arguments: The command's arguments.
        execution: The execution to show instead of the loaded one.
        differences: How a second execution or a replay differs from it.
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
    """The execution without secrets, events included, so that it can be shared."""
    secrets = secrets_of(arguments)
    if secrets is None:
        return execution
    hidden = secrets.execution(execution)
    return replace(hidden, events=tuple(map(secrets.event, execution.events)))
