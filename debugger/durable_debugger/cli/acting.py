"""Verbs that change an execution: on the local store, or on AWS when it is spoken of."""

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
    """On which engine to act.

    Args:
        parser: The verb's parser.
        is_aws_default: Whether AWS is meant unless a store is named; else the local store unless AWS is spoken of.
    """
    default = "AWS" if is_aws_default else "the local store"
    group = parser.add_argument_group(f"on which engine (default: {default})")
    store = None if is_aws_default else DEFAULT_STORE
    of_store = "a local store" if is_aws_default else "the store (default: %(default)s)"
    group.add_argument("--store", metavar="FILE", type=Path, default=store, help=of_store)
    group.add_argument("--region", metavar="REGION", help="on AWS, in this region")
    group.add_argument("--profile", metavar="NAME", help="on AWS, with this profile")
    group.add_argument("--endpoint-url", metavar="URL", help="a Lambda API elsewhere, for example durable-debug serve")


def is_on_aws(arguments: Namespace) -> bool:
    """Whether AWS is spoken of."""
    return arguments.store is None or bool(arguments.region or arguments.profile or arguments.endpoint_url)


@contextmanager
def acting_client(arguments: Namespace) -> Iterator[Any]:
    """The client of the engine to act on; what it refuses is explained.

    Raises:
        CommandError: The engine refuses.
    """
    if is_on_aws(arguments):
        place = aws.AwsPlace(arguments.region, arguments.profile, arguments.endpoint_url)
        try:
            yield aws.lambda_client(place)
        except Exception as error:  # explained, or raised again as it is
            if aws.is_absent(error):
                raise CommandError(f"{place.words} does not know it: {error}") from error
            aws.explain(error, "")
        return
    local = LocalExecutions(arguments.store)
    try:
        yield local.engine.client
    except ServiceError as error:
        is_unknown = error.code == "ResourceNotFoundException"
        hint = "; for one on AWS add --region, --profile or --endpoint-url" if is_unknown else ""
        raise CommandError(f"{local.words}: {error.message}{hint}", Exit.USAGE) from error
    finally:
        local.close()
