"""A user's settings, from `durable-debug/config.toml` in the configuration directory.

```toml
theme = "durable-safe-light"
ascii = false

[keymap]
step_over = "f10"
search = "slash,ctrl+f"
```
"""

import os
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from durable_debugger.actions import BY_ID
from durable_debugger.cli.exits import CommandError


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
