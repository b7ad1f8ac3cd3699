"""Options and client for verbs that change an execution, in the local store or on AWS."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.sources import aws
from durable_debugger.sources.local import DEFAULT_STORE, LocalExecutions
from durable_execution.errors import ServiceError


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
    group.add_argument("--store", metavar="FILE", type=Path, default=store, help=of_store)
    group.add_argument("--region", metavar="REGION", help="AWS region")
    group.add_argument("--profile", metavar="NAME", help="AWS profile")
    group.add_argument("--endpoint-url", metavar="URL", help="a different Lambda API, for example durable-debug serve")


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
