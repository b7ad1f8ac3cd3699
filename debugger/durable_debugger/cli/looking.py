"""Options that say where executions are, and the look-up of an execution by them."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from durable_debugger.sources.aws import AwsPlace
from durable_debugger.sources.found import Loaded
from durable_debugger.sources.local import DEFAULT_STORE, LocalExecutions
from durable_debugger.sources.places import AwsExecutions, Place, find

WORTH_SAYING = 5_000


def add_place_options(parser: ArgumentParser) -> None:
    """Add the options that say where to look for executions."""
    group = parser.add_argument_group("where to look")
    group.add_argument(
        "--store",
        metavar="FILE",
        type=Path,
        default=DEFAULT_STORE,
        help="the local engine's store (default: %(default)s)",
    )
    group.add_argument("--function", metavar="NAME", help="search the executions of this function on AWS")
    group.add_argument("--region", metavar="REGION", help="AWS region (default: from the ARN or the environment)")
    group.add_argument("--profile", metavar="NAME", help="AWS profile (default: from the environment)")
    group.add_argument("--endpoint-url", metavar="URL", help="a different Lambda API, for example durable-debug serve")


def places(arguments: Namespace) -> Sequence[Place]:
    """The places to search, in order. They are closed when the command ends."""
    local = LocalExecutions(arguments.store, progress=say_progress)
    arguments.closing.callback(local.close)
    place = AwsPlace(arguments.region, arguments.profile, arguments.endpoint_url)
    return [local, AwsExecutions(place, arguments.function, progress=say_progress)]


def say_progress(count: int) -> None:
    """Report how much of a long history was read, if stderr is a terminal."""
    if count >= WORTH_SAYING and sys.stderr.isatty():
        sys.stderr.write(f"\r{count:,} events read\x1b[K")
        sys.stderr.flush()


def find_execution(arguments: Namespace) -> Loaded:
    """The execution that the arguments name."""
    return find(arguments.execution, places(arguments), trace=getattr(arguments, "replay_trace", None))


EXECUTION_HELP = (
    "ID, unique prefix of an ID, name, ARN, console URL, history .json, trace .jsonl, bundle, or - for stdin"
)
