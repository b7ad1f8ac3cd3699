"""Printing reports of replays as they come, in the formats of CI."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path

from durable_debugger.cli.exits import CommandError
from durable_debugger.cli.output import Output
from durable_execution.replayer.formats import FORMATS, render
from durable_execution.replayer.report import ReplayReport, worst


def add_report_options(parser: ArgumentParser) -> None:
    """In which form, and where to."""
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="default: %(default)s")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to write it (default: stdout)")


def report_all(reports: Iterable[ReplayReport], total: int | None, arguments: Namespace, output: Output) -> int:
    """Collect the reports, saying how far it is, and print them.

    Returns:
        The exit code: 3 where something could not be loaded, 4 where a handler failed, 1 where one diverged, else 0.
    """
    found: list[ReplayReport] = []
    is_watched = output.narration.isatty()
    for report in reports:
        found.append(report)
        if is_watched:
            of = f" of {total}" if total is not None else ""
            output.narration.write(f"\r{len(found)}{of} checked")
            output.narration.flush()
    if is_watched and found:
        output.narration.write("\r\x1b[K")
    text = render(found, arguments.format)
    if arguments.output is None:
        output.data.write(text)
    else:
        _write(arguments.output, text, output)
    return int(worst(found))


def _write(path: Path, text: str, output: Output) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    output.say(f"wrote {path}")
