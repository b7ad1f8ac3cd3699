"""Starts the app with a user's settings; this module is the only one of the command line that loads Textual.

Settings come from `durable-debug/config.toml` in the configuration directory:

```toml
theme = "durable-safe-light"
ascii = false

[keymap]
step_over = "f10"
search = "slash,ctrl+f"
```
"""

import gc
import os
import sys
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable_debugger.actions import BY_ID
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.options import add_secret_option, secrets_of
from durable_debugger.cli.output import is_unicode
from durable_debugger.model.session import Session
from durable_debugger.sources.found import Loaded, NotFoundError
from durable_debugger.sources.places import Library

if TYPE_CHECKING:
    from durable_debugger.model.cost import CostTerms
    from durable_debugger.model.fleet_groups import Fleet
    from durable_debugger.screens.loading import LoadSession


def add_screen_options(parser: ArgumentParser) -> None:
    """Add the options that control the debugger's appearance."""
    parser.add_argument("--theme", metavar="NAME", help="color theme: durable-safe, durable-safe-light, ansi-dark, …")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    add_secret_option(parser)


@contextmanager
def _quick_start() -> Iterator[Callable[[], None]]:
    """Pause the garbage collector until the first paint: nearly everything made before it stays.

    Yields:
        Ends the pause.
    """

    def end() -> None:
        gc.freeze()
        gc.unfreeze()  # moves every object to the oldest generation without looking at it
        gc.enable()

    gc.disable()
    try:
        yield end
    finally:
        gc.enable()


def launch(
    arguments: Namespace,
    session: Session | None = None,
    *,
    loaded: Loaded | None = None,
    load: "tuple[LoadSession, str] | None" = None,
    target: str | None = None,
    library: Library | None = None,
    missing: NotFoundError | None = None,
    fleet: "tuple[Fleet, CostTerms] | None" = None,
) -> int:
    """Run the app until the user quits.

    Raises:
        CommandError: Textual is not installed, or the theme does not exist.
    """
    with _quick_start() as painted:
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
            fleet=fleet,
            view=getattr(arguments, "view", "tree"),
            at=getattr(arguments, "at", None),
            target=target,
            theme=_known_theme(arguments.theme or preferences.theme),
            is_ascii=arguments.ascii or preferences.is_ascii or not is_unicode(sys.stdout),
            keymap=preferences.keymap,
            secrets=secrets_of(arguments),
            painted=painted,
        )
        result = app.run()
    if app.failure is not None:
        raise app.failure
    return result or Exit.OK


def launch_fleet(arguments: Namespace, fleet: "Fleet", terms: "CostTerms", library: Library) -> int:
    """Run the app on a fleet until the user quits.

    Raises:
        CommandError: Textual is not installed, or the theme does not exist.
    """
    arguments.view = "tree"
    return launch(arguments, library=library, fleet=(fleet, terms))


def _known_theme(name: str | None) -> str | None:
    from textual.theme import BUILTIN_THEMES

    from durable_debugger.themes import DURABLE_SAFE, DURABLE_SAFE_LIGHT

    known = [DURABLE_SAFE.name, DURABLE_SAFE_LIGHT.name, *sorted(BUILTIN_THEMES)]
    if name is not None and name not in known:
        raise CommandError(f"unknown theme {name!r}; choose one of {', '.join(known)}")
    return name


@dataclass(frozen=True, slots=True)
class Preferences:
    """A user's settings.

    Attributes:
        theme: Name of the theme; None for the default.
        is_ascii: Whether to draw with ASCII only.
        keymap: Keys by action id.
    """

    theme: str | None = None
    is_ascii: bool = False
    keymap: dict[str, str] = field(default_factory=dict)


def config_path() -> Path:
    """Path of the settings file."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return Path(base) / "durable-debug" / "config.toml"


def read_preferences(path: Path | None = None) -> Preferences:
    """The settings; the defaults if the file does not exist.

    Raises:
        CommandError: The file cannot be read, or has an unknown or invalid setting.
    """
    path = path or config_path()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Preferences()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}") from error
    for key in found:
        if key not in ("theme", "ascii", "keymap"):
            raise CommandError(f"{path}: unknown setting {key!r}; use theme, ascii or [keymap]")
    return Preferences(found.get("theme"), bool(found.get("ascii", False)), _keymap(found.get("keymap", {}), path))


def _keymap(found: Any, path: Path) -> dict[str, str]:
    if not isinstance(found, dict):
        raise CommandError(f"{path}: keymap must be a table of actions and keys")
    for action, keys in found.items():
        if action not in BY_ID:
            near = get_close_matches(action, BY_ID, n=1)
            raise CommandError(f"{path}: unknown action {action!r}{f'; did you mean {near[0]}?' if near else ''}")
        if not isinstance(keys, str):
            raise CommandError(f'{path}: the keys of {action} must be a string, for example "f10" or "slash,ctrl+f"')
    return dict(found)
