"""Prints replay reports in the formats that CI systems read."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path

from durable_debugger.cli.exits import CommandError
from durable_debugger.cli.output import Output
from durable_execution.replayer.formats import FORMATS, render
from durable_execution.replayer.report import ReplayReport, worst


def add_report_options(parser: ArgumentParser) -> None:
    """Add the options for the format and the destination of the report."""
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="output format (default: %(default)s)")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="same as --format json")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="file to write (default: stdout)")


def report_all(reports: Iterable[ReplayReport], total: int | None, arguments: Namespace, output: Output) -> int:
    """Collect the reports, show the progress, and print them.

    Returns:
        The exit code: 3 if a recording could not be loaded, 4 if a handler failed, 1 if one diverged, else 0.
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
        raise CommandError(f"cannot write {path}: {error.strerror}") from error
    output.say(f"wrote {path}")
