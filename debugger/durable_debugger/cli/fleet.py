"""`durable-debug fleet FUNCTION|FOLDER|STORE [MODULE:HANDLER]`: thousands of executions, one answer.

Reading a function on AWS needs lambda:ListDurableExecutionsByFunction and lambda:GetDurableExecutionHistory.
"""

from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from durable_debugger.cli.command_line import positive
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.launching import add_screen_options, launch_fleet
from durable_debugger.cli.options import add_cost_options, add_place_options, cost_terms, places, secrets_of
from durable_debugger.cli.output import Output
from durable_debugger.cli.verify import add_time_limit, add_worker_options, worker_options
from durable_debugger.model.fleet_facts import Facts
from durable_debugger.model.fleet_groups import (
    KINDS,
    Fleet,
    add_divergences,
    breaking,
    fleet_of,
    fleet_report,
)
from durable_debugger.model.secrets import Secrets
from durable_debugger.sources.aws import AwsPlace
from durable_debugger.sources.fact_cache import FactCache, cache_path
from durable_debugger.sources.fleet_source import FleetSource, Wanted, aws_source, folder_source, store_source
from durable_debugger.sources.places import Library
from durable_debugger.text.durations import moment_in
from durable_debugger.views.fleet_table import summary_lines, table_lines
from durable_execution.clock import SystemClock
from durable_execution.counts import counted
from durable_execution.local.store.database import SQLITE_MAGIC
from durable_execution.replay.checks import Handlers, Source
from durable_execution.replay.read_ahead import loaded_ahead
from durable_execution.replay.report import ReplayReport
from durable_execution.replay.workers.pool import check_in_workers

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED", "PAUSED", "PAUSING")
SHOW_SECONDS = 0.1


def add_fleet_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = "on AWS, needs lambda:ListDurableExecutionsByFunction and lambda:GetDurableExecutionHistory"
    parser.add_argument(
        "source",
        metavar="FUNCTION|FOLDER|STORE",
        help="a function on AWS or in the local store, a folder of histories, or a store",
    )
    parser.add_argument(
        "target", metavar="MODULE_OR_FILE:HANDLER", nargs="?", help="replay all of them against this handler"
    )
    parser.add_argument("--since", metavar="24h", help="only executions started since then: 30m, 24h, 7d, 2w")
    parser.add_argument(
        "--status", metavar="STATUS", action="append", default=[], help=f"{', '.join(STATUSES)}; repeatable"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="read at most this many executions, the latest")
    parser.add_argument("--json", action="store_true", help="print all groups as JSON")
    parser.add_argument("--no-cache", action="store_true", help="read everything again, and keep nothing")
    parser.add_argument("--headless", action="store_true", help="print tables, even in a terminal")
    add_cost_options(parser)
    add_time_limit(parser, " of a replay")
    add_worker_options(parser)
    add_screen_options(parser)
    add_place_options(parser)


def run_fleet(arguments: Namespace, output: Output) -> int:
    """Read a fleet, group it and show it."""
    terms = cost_terms(arguments)
    secrets = secrets_of(arguments)
    is_kept = secrets is not None and not arguments.no_cache  # secrets are never kept
    cache = FactCache(cache_path() if is_kept else None, secrets.text if secrets is not None else str)
    try:
        source = _source(arguments, cache)
        arguments.closing.callback(source.close)
        executions, is_interrupted = _read(source, secrets, output)
    finally:
        cache.close()
    fleet = fleet_of(source.words, executions)
    fleet.unreadable = list(source.unreadable)
    if arguments.target is not None and not is_interrupted:
        is_interrupted = _replay(fleet, source, arguments, output)
    fleet.is_partial = is_interrupted
    if arguments.json:
        output.document(fleet_report(fleet, terms), _code(fleet))
    elif arguments.headless or not output.is_terminal:
        output.lines(summary_lines(fleet, terms))
        for kind in KINDS:
            output.lines(table_lines(fleet, kind, terms))
    else:
        arguments.store = _store(arguments)
        launch_fleet(arguments, fleet, terms, Library(places(arguments)))
    _say_rest(fleet, output)
    return _code(fleet)


def _code(fleet: Fleet) -> int:
    if fleet.is_partial:
        return Exit.INTERRUPTED
    if fleet.unreadable and not fleet.executions:
        return Exit.UNLOADABLE
    return Exit.DIVERGED if breaking(fleet) else Exit.OK


def _say_rest(fleet: Fleet, output: Output) -> None:
    for what, found in (("could not be read", fleet.unreadable), ("could not be replayed", fleet.problems)):
        if found:
            output.say(f"{len(found):,} {what}, for example {found[0][0]}: {found[0][1].splitlines()[0]}")
    if not fleet.executions and not fleet.unreadable:
        output.say(f"no executions in {fleet.source}")


def _source(arguments: Namespace, cache: FactCache) -> FleetSource:
    wanted = _wanted(arguments)
    path = Path(arguments.source)
    if path.is_dir():
        return folder_source(path, wanted, cache)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC:
                return store_source(path, wanted, arguments.function, cache)
        raise CommandError(f"{path} is not a store; to read histories, name the folder they are in")
    is_on_aws = arguments.region or arguments.profile or arguments.endpoint_url
    if not is_on_aws and arguments.store.exists():
        return store_source(arguments.store, wanted, arguments.source, cache)
    place = AwsPlace(arguments.region, arguments.profile, arguments.endpoint_url)
    return aws_source(place, arguments.source, wanted, cache)


def _store(arguments: Namespace) -> Any:
    path = Path(arguments.source)
    return path if path.is_file() else arguments.store  # the default is one object, which need not exist


def _wanted(arguments: Namespace) -> Wanted:
    statuses = frozenset(status.upper() for status in arguments.status)
    if not statuses <= set(STATUSES):
        raise CommandError(f"--status must be one of {', '.join(STATUSES)}, not {', '.join(statuses - set(STATUSES))}")
    since = None
    if arguments.since is not None:
        since = moment_in(arguments.since, SystemClock().now())
        if since is None:
            raise CommandError(
                f"--since {arguments.since!r}: expected a number with a unit, such as 30m, 24h, 7d or 2w, "
                "or a time such as 2026-11-28T09:00"
            )
    return Wanted(since, statuses, arguments.limit)


def _read(source: FleetSource, secrets: Secrets | None, output: Output) -> tuple[list[Facts], bool]:
    """Read until the end or Ctrl+C. Returns what was read, and whether it was interrupted."""
    found: list[Facts] = []
    clock, shown_at = SystemClock(), 0.0
    try:
        for facts in source.read():
            found.append(facts.without_secrets(secrets.text) if secrets is not None else facts)
            if clock.monotonic() - shown_at > SHOW_SECONDS:
                shown_at = clock.monotonic()
                output.show(f"{counted(len(found), 'execution')} read; Ctrl+C shows what was read so far")
    except KeyboardInterrupt:
        return found, True
    finally:
        output.show("")
    return found, False


def _replay(fleet: Fleet, source: FleetSource, arguments: Namespace, output: Output) -> bool:
    """Replay every execution against the handler. Returns whether it was interrupted."""
    done: list[tuple[Facts, ReplayReport]] = []
    total = len(fleet.executions)
    options = replace(worker_options(arguments), has_rows=False)
    sources = [Source(one.reference, partial(source.load, one.reference)) for one in fleet.executions]
    handlers = Handlers.parse([arguments.target])
    is_interrupted = False
    try:
        with loaded_ahead(sources) if source.is_remote else nullcontext(sources) as recordings:
            for facts, report in zip(fleet.executions, check_in_workers(recordings, handlers, options), strict=True):
                done.append((facts, report))
                output.show(f"{len(done):,} of {total:,} replayed")
    except KeyboardInterrupt:
        is_interrupted = True
    finally:
        output.show("")
    add_divergences(fleet, done)
    return is_interrupted
