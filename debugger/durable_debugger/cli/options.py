"""Options that say where executions are, and the look-up of an execution by them.

Hides secrets in everything that is shown of an execution, unless you ask for them.

Options and client for verbs that change an execution, in the local store or on AWS.

Values on the command line: JSON, `@file`, or `-` for stdin.

The function names of handlers.
"""

import json
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable_debugger.cli.command_line import web_address
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.model.differences import Differences
from durable_debugger.model.secrets import Secrets
from durable_debugger.model.session import Session
from durable_debugger.sources import aws
from durable_debugger.sources.aws import AwsPlace
from durable_debugger.sources.found import Loaded
from durable_debugger.sources.local import DEFAULT_STORE, LocalExecutions
from durable_debugger.sources.places import AwsExecutions, Place, find
from durable_debugger.sources.traces import stored_traces
from durable_execution.counts import counted
from durable_execution.errors import ServiceError
from durable_execution.history.recorded import RecordedExecution

if TYPE_CHECKING:  # looking at an execution runs no handler
    from durable_debugger.model.cost import CostTerms
    from durable_execution.handler import DurableHandler

WORTH_SAYING = 5_000
DEFAULT_MEMORY_MB = 128
DEFAULT_RETENTION_DAYS = 14


def store_file(text: str) -> Path:
    """Read the name of a store: its file, or the folder that has one of the usual name."""
    path = Path(text)
    inside = path / DEFAULT_STORE.name
    return inside if path.is_dir() and inside.is_file() else path


def add_place_options(parser: ArgumentParser) -> None:
    """Add the options that say where to look for executions."""
    group = parser.add_argument_group("where to look")
    group.add_argument(
        "--store",
        metavar="FILE",
        type=store_file,
        default=DEFAULT_STORE,
        help="the local engine's store (default: %(default)s)",
    )
    group.add_argument(
        "--traces",
        metavar="PLACE",
        help="replay traces: a folder, or s3://bucket/prefix; alone, or with histories from AWS",
    )
    group.add_argument("--function", metavar="NAME", help="search the executions of this function on AWS")
    group.add_argument("--region", metavar="REGION", help="AWS region (default: from the ARN or the environment)")
    group.add_argument("--profile", metavar="NAME", help="AWS profile (default: from the environment)")
    group.add_argument(
        "--endpoint-url",
        metavar="URL",
        type=web_address,
        help="a different Lambda API, for example durable-debug serve",
    )


def places(arguments: Namespace) -> Sequence[Place]:
    """The places to search, in order. They are closed when the command ends.

    Raises:
        CommandError: The command names a store that does not exist.
    """
    if has_own_store(arguments) and not arguments.store.exists():
        raise CommandError(
            f"no store {arguments.store}; name the file that `durable-debug run --store FILE` wrote", Exit.UNLOADABLE
        )
    local = LocalExecutions(arguments.store, progress=say_progress)
    arguments.closing.callback(local.close)
    place = AwsPlace(arguments.region, arguments.profile, arguments.endpoint_url)
    if arguments.traces is None:
        return [local, AwsExecutions(place, arguments.function, progress=say_progress)]
    stored = stored_traces(arguments.traces, region=arguments.region, profile=arguments.profile)
    on_aws = AwsExecutions(place, arguments.function, progress=say_progress, traces=stored.traces)
    # With a history, a trace shows more, so that the traces alone are the last place to search.
    return [local, on_aws, stored] if is_aws_named(arguments) else [local, stored]


def is_aws_named(arguments: Namespace) -> bool:
    """Whether an option says that the execution is on AWS, or on a server with the same API."""
    return bool(arguments.function or arguments.region or arguments.profile or arguments.endpoint_url)


def has_own_store(arguments: Namespace) -> bool:
    """Whether the command names a store: the default is one object, so another one was given."""
    return arguments.store is not DEFAULT_STORE


def say_progress(count: int) -> None:
    """Report how much of a long history was read, if stderr is a terminal."""
    if count >= WORTH_SAYING and sys.stderr.isatty():
        sys.stderr.write(f"\r{counted(count, 'event')} read\x1b[K")
        sys.stderr.flush()


def find_execution(arguments: Namespace) -> Loaded:
    """The execution that the arguments name."""
    return find(arguments.execution, places(arguments), trace=getattr(arguments, "replay_trace", None))


READING_NEEDS = (
    "on AWS, needs lambda:GetDurableExecution and lambda:GetDurableExecutionHistory, and "
    "lambda:ListDurableExecutionsByFunction to find an execution by its name"
)
"""The permissions of the verbs that read executions, for their help."""

EXECUTION_HELP = (
    "ID, unique prefix of an ID, name, ARN, console URL, history .json, trace .jsonl, bundle, a folder or s3://bucket/prefix with "
    "traces of one execution, or - for stdin"
)


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


def add_acting_options(parser: ArgumentParser, *, is_aws_default: bool = False) -> None:
    """Add the options that choose the engine to act on.

    Args:
        parser: The verb's parser.
        is_aws_default: Whether the verb acts on AWS unless a store is named. If False, it acts on the local store
            unless an AWS option is given.
    """
    default = "AWS" if is_aws_default else "the local store"
    group = parser.add_argument_group(f"engine to act on (default: {default})")
    store = None if is_aws_default else DEFAULT_STORE
    of_store = "a local store" if is_aws_default else "local store (default: %(default)s)"
    group.add_argument("--store", metavar="FILE", type=store_file, default=store, help=of_store)
    group.add_argument("--region", metavar="REGION", help="AWS region")
    group.add_argument("--profile", metavar="NAME", help="AWS profile")
    group.add_argument(
        "--endpoint-url",
        metavar="URL",
        type=web_address,
        help="a different Lambda API, for example durable-debug serve",
    )


def is_on_aws(arguments: Namespace) -> bool:
    """Whether the options select AWS."""
    return arguments.store is None or bool(arguments.region or arguments.profile or arguments.endpoint_url)


@contextmanager
def acting_client(arguments: Namespace) -> Iterator[Any]:
    """The client of the engine to act on. Errors of the engine are explained.

    Raises:
        CommandError: The engine rejects the call.
    """
    if is_on_aws(arguments):
        place = aws.AwsPlace(arguments.region, arguments.profile, arguments.endpoint_url)
        try:
            yield aws.lambda_client(place)
        except Exception as error:  # explained, or raised again unchanged
            if aws.is_absent(error):
                raise CommandError(f"not found in {place.words}: {error}") from error
            aws.explain(error, "")
        return
    local = LocalExecutions(arguments.store)
    try:
        yield local.engine.client
    except ServiceError as error:
        is_unknown = error.code == "ResourceNotFoundException"
        hint = "; if it is on AWS, add --region, --profile or --endpoint-url" if is_unknown else ""
        raise CommandError(f"{local.words}: {error.message}{hint}", Exit.USAGE) from error
    finally:
        local.close()


def add_cost_options(parser: ArgumentParser) -> None:
    """Add the options of an estimate of costs."""
    group = parser.add_argument_group("estimate of costs")
    group.add_argument(
        "--memory",
        type=int,
        default=DEFAULT_MEMORY_MB,
        metavar="MB",
        help="memory of the function (default: %(default)s)",
    )
    group.add_argument(
        "--retention",
        type=int,
        default=DEFAULT_RETENTION_DAYS,
        metavar="DAYS",
        help="how long data is kept (default: %(default)s)",
    )
    group.add_argument("--prices", type=Path, metavar="FILE", help="a JSON object with your prices and their date")


def cost_terms(arguments: Namespace) -> "CostTerms":
    """What the estimate assumes."""
    if arguments.memory <= 0 or arguments.retention < 0:
        raise CommandError("--memory must be more than 0 MB, and --retention 0 days or more")
    from durable_debugger.model.cost import CostTerms, Prices, read_prices

    prices = read_prices(arguments.prices) if arguments.prices else Prices()
    return CostTerms(prices, arguments.memory, arguments.retention)


def read_json(text: str, option: str) -> Any:
    """The JSON value of an option.

    Args:
        text: JSON, `@` and the path of a file, or `-` for stdin.
        option: The option, for the message.

    Raises:
        CommandError: The value is not JSON, or the file cannot be read.
    """
    source = read_text(text, option)
    try:
        return json.loads(source)
    except ValueError as error:
        hint = f"""; quote a string twice: {option} '"{text}"'""" if text.isidentifier() else ""
        raise CommandError(f"{option} is not JSON: {error}{hint}") from error


def read_text(text: str, option: str) -> str:
    """The text of an option: from the command line, a file or stdin.

    Raises:
        CommandError: The file cannot be read.
    """
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{option}: cannot read {text[1:]}: {error}") from error


def handlers_beside(handler: "DurableHandler[Any]") -> dict[str, Callable[..., Any]]:
    """All handlers of a handler's module with their decorators, by the function names they are registered under."""
    from durable_execution.handler import handler_in

    module = sys.modules.get(handler.function.__module__)
    found: dict[str, Callable[..., Any]] = {function_name(handler): handler}
    for value in vars(module).values() if module is not None else ():
        durable = handler_in(value)
        if durable is not None:
            found[function_name(durable)] = value
    return found


def function_name(handler: "DurableHandler[Any]") -> str:
    """The Lambda function name for a handler: its own name without the characters that Lambda does not allow."""
    return _lambda_name(handler.function.__qualname__)


def function_name_of(reference: str) -> str:
    """The Lambda function name under which `run` starts the handler of a reference, without importing it."""
    return _lambda_name(reference.rpartition(":")[2])


def _lambda_name(qualname: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", qualname).strip("-")[:64] or "handler"
