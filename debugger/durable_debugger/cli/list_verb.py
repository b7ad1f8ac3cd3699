"""`durable-debug list`: prints recent executions."""

from argparse import ArgumentParser, Namespace
from itertools import islice

from durable_debugger.cli.exits import Exit
from durable_debugger.cli.looking import add_place_options, places
from durable_debugger.cli.output import Output
from durable_debugger.model.states import state_of
from durable_debugger.sources.aws import AwsPlace
from durable_debugger.sources.found import Listed
from durable_debugger.sources.places import AwsExecutions, Place
from durable_debugger.text import durations
from durable_debugger.text.cells import pad, pad_left, safe
from durable_debugger.text.lines import Line, Part, fit
from durable_execution.clock import SystemClock

DEFAULT_LIMIT = 30


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--limit", type=int, default=DEFAULT_LIMIT, metavar="N", help="number of executions (default: %(default)s)"
    )
    parser.add_argument(
        "--status",
        action="append",
        metavar="STATUS",
        help="RUNNING, SUCCEEDED, FAILED, TIMED_OUT or STOPPED; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--ascii", action="store_true", help="write ASCII characters only")
    add_place_options(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Print recent executions."""
    wanted = {status.upper() for status in arguments.status or ()}
    place = _place(arguments)
    shown = (
        each
        for each in place.executions()
        if (not wanted or each.status in wanted) and arguments.function in (None, each.function)
    )
    found = list(islice(shown, max(arguments.limit, 0)))
    if arguments.json:
        output.json([_wire(each) for each in found])
        return Exit.OK
    if not found:
        output.say(f"no executions in {place.words}; start one with `durable-debug run MODULE:HANDLER --input JSON`")
    now = SystemClock().now()
    for each in found:
        ended = each.ended_at or (now if each.status == "RUNNING" else None)
        seconds = durations.between(each.started_at, ended)
        age = durations.age(each.started_at, now) if each.started_at else ""
        output.line(fit(_line(each, age, durations.short(seconds)), output.width))
    return Exit.OK


def _place(arguments: Namespace) -> Place:
    """AWS if the options select it, else the local store."""
    if arguments.function and (arguments.region or arguments.profile or arguments.endpoint_url):
        return AwsExecutions(AwsPlace(arguments.region, arguments.profile, arguments.endpoint_url), arguments.function)
    return places(arguments)[0]


def _line(each: Listed, age: str, took: str) -> Line:
    state = state_of(each.status)
    return [
        Part(f"{state.glyph} {each.status:<10} ", state.role),
        Part(pad(safe(each.function), 22) + " ", "name"),
        Part(f"{each.id}  "),
        Part(pad_left(took, 8) + "  "),
        Part(pad(age, 15), "dim"),
        Part("" if each.name == each.id else safe(each.name), "dim"),
    ]


def _wire(each: Listed) -> dict[str, str | None]:
    return {
        "arn": each.arn,
        "id": each.id,
        "name": each.name,
        "function": each.function,
        "status": each.status,
        "started_at": each.started_at.isoformat() if each.started_at else None,
        "ended_at": each.ended_at.isoformat() if each.ended_at else None,
    }
