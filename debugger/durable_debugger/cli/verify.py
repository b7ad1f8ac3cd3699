"""`durable-debug check SOURCE... MODULE:HANDLER`: replays many recordings against the current code, for CI.

Prints replay reports in the formats that CI systems read.
"""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path

from durable_debugger.cli.command_line import positive, seconds, word_of
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.options import (
    add_place_options,
    add_secret_option,
    function_name_of,
    has_own_store,
    places,
    secrets_of,
)
from durable_debugger.cli.output import Output
from durable_debugger.sources.files import STDIN
from durable_debugger.sources.places import Place, find
from durable_debugger.text import durations
from durable_execution.clock import SystemClock
from durable_execution.counts import counted, plural
from durable_execution.errors import DurableError
from durable_execution.history.recorded import RecordedExecution
from durable_execution.private_files import write_private
from durable_execution.protocol import ExecutionStatus
from durable_execution.protocol.safe_text import printable
from durable_execution.replay.checks import Handlers, Source
from durable_execution.replay.formats import FORMATS, render
from durable_execution.replay.lines.line_recording import LineRecording
from durable_execution.replay.loading import history_files
from durable_execution.replay.read_ahead import loaded_ahead
from durable_execution.replay.replayer import DEFAULT_SECONDS
from durable_execution.replay.report import ReplayReport, Verdict, worst
from durable_execution.replay.run import UnknownHandlerError, UnusableHandlerError
from durable_execution.replay.workers.pool import check_in_workers
from durable_execution.replay.workers.supervisor import WorkerOptions

LINE_SECONDS = 60.0
"""Longest replay that records lines."""
MOST_WITH_LINES = 5
"""Recordings with lines on a page, so that it stays small."""
HANDLER = re.compile(r"(?:[\w-]+=)?[\w./\\{}-]+:[A-Za-z_{][\w.{}]*")


def add_check_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "words",
        metavar="SOURCE... MODULE_OR_FILE:HANDLER",
        nargs="+",
        help="recordings (files, directories of .json files, IDs, ARNs, or - for stdin), then the handler. For several functions, "
        "give FUNCTION=MODULE:HANDLER for each, or a pattern such as shop.workflows:{function}",
    )
    add_time_limit(parser, " per recording")
    parser.add_argument(
        "--every-prefix",
        action="store_true",
        help="also replay every intermediate state of each recording; slower, finds more",
    )
    parser.add_argument(
        "--perturb",
        action="store_true",
        help="also replay with a different hash seed, clock, time zone, random numbers, environment and completion order, each "
        "in its own process; slow, finds problems that have not occurred yet",
    )
    add_worker_options(parser)
    add_report_options(parser)
    add_place_options(parser)
    group = parser.add_argument_group("all executions of a local store, with --store FILE and without recordings")
    group.add_argument(
        "--status",
        action="append",
        type=word_of(ExecutionStatus),
        metavar="STATUS",
        help="only executions with this status, and with --function only of this function; repeatable",
    )
    group.add_argument("--limit", type=positive, metavar="N", help="only the latest N executions")


def run_check(arguments: Namespace, output: Output) -> int:
    """Check recordings."""
    names = [word for word in arguments.words if not is_handler(word)]
    references = [word for word in arguments.words if is_handler(word)]
    if not references:
        raise CommandError(
            "no handler given; add the handler to check against, for example `shop.orders:process_order`"
        )
    handlers = Handlers.parse(references)
    has_filters = bool(arguments.status or arguments.limit)
    if names and has_filters:
        raise CommandError("--status and --limit select executions of a store: leave out the recordings")
    if not names and not (has_own_store(arguments) or has_filters):
        raise CommandError(
            "no recordings given; add history files, a directory of them, IDs or ARNs, or --store FILE for all executions in "
            "a local store"
        )
    sources = list(_sources(names, places(arguments)) if names else _stored(handlers, arguments, output))
    if not sources:
        raise CommandError(f"no .json files in {', '.join(names)}", Exit.UNLOADABLE)
    without_traces: list[tuple[str, str | None]] = []
    if names and arguments.traces is not None:
        sources = [Source(one.name, partial(_noting_traces, one, without_traces)) for one in sources]
    code = report_all(sources, handlers, arguments, output)
    if without_traces:
        name, arn = without_traces[0]
        more = f" and {len(without_traces) - 1} more" if len(without_traces) > 1 else ""
        why = "" if arn else ": the file has no ARN, by which traces are found"
        output.say(f"no replay traces in {arguments.traces} for {name}{more}{why}")
    return code


def _noting_traces(source: Source, without_traces: list[tuple[str, str | None]]) -> RecordedExecution:
    execution = source.load()
    if not execution.traces:
        without_traces.append((source.name, execution.arn))
    return execution


def is_handler(word: str) -> bool:
    """Whether a word names a handler and not a recording."""
    return bool(HANDLER.fullmatch(word)) and not word.startswith("arn:") and not Path(word).exists()


def _stored(handlers: Handlers, arguments: Namespace, output: Output) -> Iterator[Source]:
    """Yield the executions of the local store that the filters select and the handlers are for."""
    where = places(arguments)[0]
    wanted: set[str] = set(arguments.status or ())
    limit = arguments.limit
    listed = [
        each
        for each in where.executions()
        if (not wanted or each.status in wanted) and arguments.function in (None, each.function)
    ]
    known = {each.function for each in listed}
    functions = {name for name in handlers.rules if name != "*"}
    rule = handlers.rules.get("*")
    if rule is not None and arguments.function is None:
        own = function_name_of(rule)
        functions = known if "{" in rule or own not in known else functions | {own}
    elif rule is not None:
        functions = known
    chosen = [each for each in listed if each.function in functions][:limit]
    left = sum(each.function not in functions for each in listed)
    if left:
        others = ", ".join(sorted(known - functions))
        output.say(f"left out: {counted(left, 'execution')} of {others}, for which no handler is given")
    if not chosen:
        raise CommandError(
            f"no execution in {where.words} is selected; `durable-debug list` shows them", Exit.UNLOADABLE
        )
    for each in chosen:
        yield Source(each.arn, partial(_from_anywhere, each.arn, [where]))


def _sources(names: Sequence[str], where: Sequence[Place]) -> Iterator[Source]:
    for name in names:
        path = Path(name)
        if name != STDIN and (path.is_dir() or path.is_file()):
            for file in history_files([path]):
                yield Source(str(file), partial(_from_anywhere, str(file), where))
        else:
            yield Source(name, partial(_from_anywhere, name, where))


def _from_anywhere(name: str, where: Sequence[Place]) -> RecordedExecution:
    return find(name, where).execution


def add_report_options(parser: ArgumentParser) -> None:
    """Add the options for the format and the destination of the report."""
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="output format (default: %(default)s)")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="same as --format json")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="file to write (default: stdout)")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write the report as one HTML file")
    parser.add_argument(
        "--lines",
        action="store_true",
        help="with --html: step through the lines of the code in recordings that differ",
    )
    add_secret_option(parser)


def add_time_limit(parser: ArgumentParser, of: str = "") -> None:
    """Add `--seconds`, the time limit of a replay."""
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=DEFAULT_SECONDS,
        metavar="N",
        help=f"time limit{of}, in seconds (default: %(default)s)",
    )


def add_worker_options(parser: ArgumentParser) -> None:
    """Add the options for the processes that replay."""
    parser.add_argument(
        "--jobs", type=positive, metavar="N", help="how many processes replay at the same time (default: one per core)"
    )
    parser.add_argument("--fresh", action="store_true", help="replay each recording in a process of its own; slower")
    add_import_option(parser)


def add_import_option(parser: ArgumentParser) -> None:
    """Add the option that allows the handler's module the network."""
    parser.add_argument(
        "--allow-network-at-import",
        action="store_true",
        help="let the handler's module use the network when it is imported",
    )
    parser.add_argument(
        "--no-cause",
        action="store_true",
        help="do not replay again to find the line that makes a recording differ",
    )


def worker_options(arguments: Namespace) -> WorkerOptions:
    """Return how to replay, from the arguments."""
    return WorkerOptions(
        seconds=arguments.seconds,
        jobs=getattr(arguments, "jobs", None),
        is_fresh=getattr(arguments, "fresh", False),
        allows_network_at_import=arguments.allow_network_at_import,
        is_every_prefix=getattr(arguments, "every_prefix", False),
        has_rows=getattr(arguments, "html", None) is not None,
        finds_cause=not arguments.no_cause,
        perturbs=getattr(arguments, "perturb", False),
    )


def report_all(sources: Sequence[Source], handlers: Handlers, arguments: Namespace, output: Output) -> int:
    """Replay recordings, show the progress, and print their reports.

    Returns:
        The exit code: 130 if it was interrupted, 3 if a recording could not be loaded, 4 if a handler failed, 1 if one
        diverged, else 0: every recording has a complete report that says `same`.
    """
    found = replay_all(sources, handlers, arguments, output)
    print_reports(render(found, arguments.format), arguments, output)
    write_page(found, arguments, output, sources)
    return int(worst(found))


def replay_all(
    sources: Sequence[Source], handlers: Handlers, arguments: Namespace, output: Output, *, is_remote: bool = False
) -> list[ReplayReport]:
    """Replay recordings in workers and show the progress.

    Args:
        sources: The recordings.
        handlers: Their handlers.
        arguments: The options.
        output: Where the progress is shown.
        is_remote: Whether the recordings are read over a network, several at the same time.

    Returns:
        A report for each. When the user interrupts it, those without one are reported as not replayed.

    Raises:
        UnknownHandlerError: There is no such handler, for any of them.
    """
    if getattr(arguments, "lines", False) and arguments.html is None:
        raise CommandError("--lines needs --html FILE, the page to step through the lines on")
    found: list[ReplayReport] = []
    progress = Progress(len(sources), output)
    try:
        with (
            loaded_ahead(sources) if is_remote else nullcontext(sources) as recordings,
            closing(check_in_workers(recordings, handlers, worker_options(arguments))) as reports,
        ):
            for report in reports:
                found.append(report)
                progress.show(len(found))
    except KeyboardInterrupt:
        done = len(found)
        found += [_not_replayed(source, handlers) for source in sources[done:]]
        output.say(
            f"interrupted: {done} of {counted(len(sources), 'recording')} {plural(done, 'was', 'were')} replayed, so the results are partial"
        )
    progress.clear()
    errors = {report.error for report in found if report.verdict is Verdict.NO_HANDLER}
    if len(errors) == 1 and all(report.verdict is Verdict.NO_HANDLER for report in found):
        raise UnknownHandlerError(errors.pop() or "there is no such handler")
    return found


def refuse_without_handler(report: ReplayReport, target: str) -> None:
    """Raise the error of a replay that could not begin.

    Raises:
        UnknownHandlerError: There is no such handler.
        UnusableHandlerError: Its module cannot be imported.
    """
    if report.verdict is Verdict.NO_HANDLER:
        raise UnknownHandlerError(report.error or f"there is no handler {target}")
    if report.verdict is Verdict.FAILED and not report.isolation:
        raise UnusableHandlerError(report.error or f"cannot import {target}")


def print_reports(text: str, arguments: Namespace, output: Output) -> None:
    """Print rendered reports, or write them to the file that the options name."""
    if arguments.output is None:
        output.text(text, arguments.format)
    else:
        _write(arguments.output, text, output)


def write_page(
    reports: Sequence[ReplayReport], arguments: Namespace, output: Output, sources: Sequence[Source] = ()
) -> None:
    """Write the reports as one HTML file, if the options ask for it. Recordings that replay the same appear without calls.

    Args:
        reports: The reports.
        arguments: The options.
        output: Where messages go.
        sources: The recordings, to show the calls of those that differ.
    """
    if arguments.html is not None:
        from durable_debugger.views.page import replay_page

        named = {source.name: source for source in sources}
        reports = [
            replace(report, execution=named[report.source].load())
            if report.roots and report.execution is None and report.source in named
            else report
            for report in reports
        ]
        lines = _lines_of(reports, arguments, output) if arguments.lines else {}
        _write(arguments.html, printable("\n".join(replay_page(reports, secrets_of(arguments), lines))), output)


def recorded_lines(
    execution: RecordedExecution, target: str, *, hides_secrets: bool, options: WorkerOptions | None = None
) -> LineRecording | None:
    """Replay a handler in a process of its own and record its lines.

    Args:
        execution: The recording, with its secrets.
        target: The handler.
        hides_secrets: Whether values that look like secrets are hidden.
        options: How to replay.
    """
    from durable_execution.replay.lines.probes import Stepping
    from durable_execution.replay.replayed_tree import rooted_at
    from durable_execution.replay.workers.supervisor import HandlerProcess

    home = HandlerProcess(target, replace(options or WorkerOptions(), jobs=1))
    try:
        process = home.fork()
        try:
            rooted = rooted_at(execution, home.ready.handler)
            stepping = Stepping(hides_secrets=hides_secrets)
            found = process.record_lines(rooted, "the page", count=1, seconds=LINE_SECONDS, stepping=stepping)
        finally:
            process.end()
    except TimeoutError:
        raise CommandError(f"the replay of {target} took more than {LINE_SECONDS:.0f} s", Exit.HANDLER_FAILED) from None
    finally:
        home.close()
    return found[0].lines if found else None


def _lines_of(reports: Sequence[ReplayReport], arguments: Namespace, output: Output) -> dict[int, LineRecording]:
    """Record the lines of the first recordings that differ, by their place in the reports."""
    hides = secrets_of(arguments) is not None
    differing = [(at, one) for at, one in enumerate(reports) if one.roots and one.execution is not None]
    found: dict[int, LineRecording] = {}
    for at, report in differing[:MOST_WITH_LINES]:
        if report.execution is None:
            continue
        try:
            lines = recorded_lines(
                report.execution, report.handler, hides_secrets=hides, options=worker_options(arguments)
            )
        except (CommandError, DurableError) as error:
            output.say(f"{report.source}: no lines: {error}")
            continue
        if lines is not None:
            found[at] = lines
    if len(differing) > MOST_WITH_LINES:
        output.say(
            f"the page has the lines of the first {MOST_WITH_LINES} of {counted(len(differing), 'recording')} that differ"
        )
    return found


class Progress:
    """How far a check is, on a terminal: how many recordings are done, and how long the rest will take."""

    def __init__(self, total: int, output: Output) -> None:
        self._total, self._narration, self._clock = total, output.narration, SystemClock()
        self._first: tuple[int, float] | None = None
        self._is_shown = output.narration.isatty()

    def show(self, done: int) -> None:
        """Show that so many recordings are done. The time left is measured from the first one: before it, workers start."""
        if not self._is_shown:
            return
        now = self._clock.monotonic()
        self._first = self._first or (done, now)
        seen, since = self._first
        remaining = ""
        if seen < done < self._total:
            left = ceil((now - since) / (done - seen) * (self._total - done))
            remaining = f", about {durations.short(left) if left >= durations.MINUTE else f'{left} s'} left"
        self._narration.write(f"\r\x1b[K{done} of {self._total} replayed{remaining}")
        self._narration.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._narration.write("\r\x1b[K")
            self._narration.flush()


def _not_replayed(source: Source, handlers: Handlers) -> ReplayReport:
    handler = ", ".join(dict.fromkeys(handlers.rules.values()))
    return ReplayReport(
        source.name, handler, Verdict.INTERRUPTED, error="the command was interrupted before its replay"
    )


def _write(path: Path, text: str, output: Output) -> None:
    try:
        write_private(path, text)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error
    output.say(f"wrote {path}")
