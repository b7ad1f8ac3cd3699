"""`durable-debug lint PATH...`: finds code that breaks replay, by reading the source."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.output import Output
from durable_execution.replayer.lint import lint_paths
from durable_execution.replayer.lint.formats import FORMATS


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="Python file or directory")
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="output format (default: %(default)s)")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="same as --format json")


def run(arguments: Namespace, output: Output) -> int:
    """Lint files."""
    missing = [path for path in arguments.paths if not path.exists()]
    if missing:
        raise CommandError(f"{missing[0]} does not exist", Exit.UNLOADABLE)
    try:
        findings = lint_paths(arguments.paths)
    except OSError as error:
        raise CommandError(f"cannot read {error.filename}: {error.strerror}", Exit.UNLOADABLE) from error
    output.data.write(FORMATS[arguments.format](findings))
    return Exit.DIVERGED if findings else Exit.OK
