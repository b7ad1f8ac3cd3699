"""`durable-debug EXECUTION`: the debugger."""

import os
from argparse import ArgumentParser, Namespace

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.looking import EXECUTION_HELP, add_place_options, find_execution
from durable_debugger.cli.output import Output
from durable_debugger.model.session import Session

VIEWS = ("tree", "timeline", "step", "diff", "events")


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("execution", metavar="EXECUTION", help=EXECUTION_HELP)
    parser.add_argument("--replay-trace", metavar="FILE", help="a replay trace to read with a history file")
    parser.add_argument("--view", choices=VIEWS, default="tree", help="the view to open (default: tree)")
    add_screen_options(parser)
    add_place_options(parser)


def add_screen_options(parser: ArgumentParser) -> None:
    """How the debugger looks."""
    parser.add_argument("--theme", metavar="NAME", help="colours: durable-safe, durable-safe-light, ansi-dark, …")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII only")


def run(arguments: Namespace, output: Output) -> int:
    """Open the debugger."""
    loaded = find_execution(arguments)
    if not output.is_terminal:
        raise CommandError(
            "there is no terminal to open the debugger in: use `durable-debug show EXECUTION` for text, or run it in one",
            Exit.USAGE,
        )
    session = Session(loaded.execution, as_of=loaded.as_of, origin=loaded.origin, title=loaded.title)
    return open_session(session, arguments)


def open_session(session: Session, arguments: Namespace) -> int:
    """Open the debugger on a session.

    Raises:
        CommandError: Textual is not installed.
    """
    try:
        from durable_debugger.app import DebuggerApp
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise CommandError(
            "the debugger needs Textual: pip install 'durable-execution-sdk[debugger]'", Exit.UNLOADABLE
        ) from error
    is_ascii = arguments.ascii or _is_ascii_only()
    return DebuggerApp(session, view=arguments.view, theme=arguments.theme, is_ascii=is_ascii).run() or Exit.OK


def _is_ascii_only() -> bool:
    """Whether the locale says that the terminal cannot show more."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    return "utf" not in locale.lower()
