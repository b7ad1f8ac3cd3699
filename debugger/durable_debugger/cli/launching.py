"""Starts the app; this module is the only one of the command line that loads Textual."""

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.options import add_secret_option, secrets_of
from durable_debugger.cli.output import is_unicode
from durable_debugger.cli.preferences import read_preferences
from durable_debugger.model.session import Session
from durable_debugger.sources.found import Loaded, NotFoundError
from durable_debugger.sources.places import Library

if TYPE_CHECKING:
    from durable_debugger.screens.loading import LoadSession


def add_screen_options(parser: ArgumentParser) -> None:
    """Add the options that control the debugger's appearance."""
    parser.add_argument("--theme", metavar="NAME", help="color theme: durable-safe, durable-safe-light, ansi-dark, …")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    add_secret_option(parser)


def launch(
    arguments: Namespace,
    session: Session | None = None,
    *,
    loaded: Loaded | None = None,
    load: "tuple[LoadSession, str] | None" = None,
    target: str | None = None,
    library: Library | None = None,
    missing: NotFoundError | None = None,
) -> int:
    """Run the app until the user quits.

    Raises:
        CommandError: Textual is not installed, or the theme does not exist.
    """
    try:
        from durable_debugger.app import DebuggerApp
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise CommandError(
            "the debugger needs Textual: run `pip install 'durable-execution-sdk[debugger]'`", Exit.UNLOADABLE
        ) from error
    preferences = read_preferences()
    app = DebuggerApp(
        session,
        loaded=loaded,
        load=load,
        library=library,
        missing=missing,
        view=getattr(arguments, "view", "tree"),
        at=getattr(arguments, "at", None),
        target=target,
        theme=_known_theme(arguments.theme or preferences.theme),
        is_ascii=arguments.ascii or preferences.is_ascii or not is_unicode(sys.stdout),
        keymap=preferences.keymap,
        secrets=secrets_of(arguments),
    )
    result = app.run()
    if app.failure is not None:
        raise app.failure
    return result or Exit.OK


def _known_theme(name: str | None) -> str | None:
    from textual.theme import BUILTIN_THEMES

    from durable_debugger.themes import DURABLE_SAFE, DURABLE_SAFE_LIGHT

    known = [DURABLE_SAFE.name, DURABLE_SAFE_LIGHT.name, *sorted(BUILTIN_THEMES)]
    if name is not None and name not in known:
        raise CommandError(f"unknown theme {name!r}; choose one of {', '.join(known)}")
    return name
