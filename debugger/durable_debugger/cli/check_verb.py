"""`durable-debug check SOURCE... MODULE:HANDLER`: replays many recordings against the current code, for CI."""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.looking import add_place_options, places
from durable_debugger.cli.output import Output
from durable_debugger.cli.reporting import add_report_options, report_all
from durable_debugger.sources.files import STDIN, load_file
from durable_debugger.sources.places import Place, find
from durable_execution.replay.recorded import RecordedExecution
from durable_execution.replayer.checking import Handlers, Source, check
from durable_execution.replayer.loading import history_files
from durable_execution.replayer.perturbation import perturb
from durable_execution.replayer.prefixes import replay_every_prefix
from durable_execution.replayer.replayer import DEFAULT_SECONDS
from durable_execution.replayer.report import ReplayReport, Verdict

HANDLER = re.compile(r"(?:[\w-]+=)?[\w./\\{}-]+:[A-Za-z_][\w.{}]*")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "words",
        metavar="SOURCE... MODULE_OR_FILE:HANDLER",
        nargs="+",
        help="recordings (files, directories of .json files, IDs, ARNs, or - for stdin), then the handler. For several functions, "
        "give FUNCTION=MODULE:HANDLER for each, or a pattern such as shop.workflows:{function}",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=DEFAULT_SECONDS,
        metavar="N",
        help="time limit per recording, in seconds (default: %(default)s)",
    )
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
    add_report_options(parser)
    add_place_options(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Check recordings."""
    names = [word for word in arguments.words if not is_handler(word)]
    references = [word for word in arguments.words if is_handler(word)]
    if not references:
        raise CommandError(
            "no handler given; add the handler to check against, for example `shop.orders:process_order`"
        )
    if not names:
        raise CommandError("no recordings given; add history files, a directory of them, IDs or ARNs")
    sources = list(_sources(names, places(arguments)))
    if not sources:
        raise CommandError(f"no .json files in {', '.join(names)}", Exit.UNLOADABLE)
    handlers = Handlers.parse(references)
    reports: Iterator[ReplayReport]
    if arguments.every_prefix:
        reports = (_every_prefix(source, handlers, arguments.seconds) for source in sources)
    else:
        reports = check(sources, handlers, seconds=arguments.seconds)
    code = report_all(reports, len(sources), arguments, output)
    if arguments.perturb:
        code = max(code, _perturbed(sources, references, arguments.seconds, output))
    return code


def _every_prefix(source: Source, handlers: Handlers, seconds: float) -> ReplayReport:
    report = next(check([source], handlers, seconds=seconds))
    if report.execution is None or report.verdict in (Verdict.UNREADABLE, Verdict.FAILED):
        return report
    return replay_every_prefix(handlers.find(report.execution), report.execution, source=source.name)


def _perturbed(sources: Sequence[Source], references: Sequence[str], seconds: float, output: Output) -> int:
    """Replay each recording under perturbations and report those that change the behavior."""
    if len(references) > 1 or "=" in references[0] or "{" in references[0]:
        raise CommandError("--perturb needs exactly one handler; run `check --perturb` once per function")
    count = 0
    for source in sources:
        for finding in perturb(references[0], source.load(), seconds=seconds):
            count += 1
            output.line(f"PERTURBED      {source.name}  {finding}")
    plural = "perturbation" if count == 1 else "perturbations"
    output.say(f"behaves differently under {count} {plural}" if count else "behaves the same under every perturbation")
    return Exit.DIVERGED if count else Exit.OK


def is_handler(word: str) -> bool:
    """Whether a word names a handler and not a recording."""
    return bool(HANDLER.fullmatch(word)) and not word.startswith("arn:") and not Path(word).exists()


def _sources(names: Sequence[str], where: Sequence[Place]) -> Iterator[Source]:
    for name in names:
        path = Path(name)
        if name != STDIN and (path.is_dir() or path.is_file()):
            for file in history_files([path]):
                yield Source(str(file), partial(_from_file, str(file)))
        else:
            yield Source(name, partial(_from_anywhere, name, where))


def _from_file(name: str) -> RecordedExecution:
    return load_file(name).execution


def _from_anywhere(name: str, where: Sequence[Place]) -> RecordedExecution:
    return find(name, where).execution
