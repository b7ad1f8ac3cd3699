"""Opening the code of a call in the user's editor."""

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from durable_debugger.screens.handlers import handles
from durable_debugger.views.source import current_site

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

FALLBACK = "vi"


@handles("edit")
def edit(screen: "MainScreen") -> None:
    """Open the file at the line of the selected call."""
    site = current_site(screen.session)
    if site is None:
        screen.say("no call site was recorded")
        return
    text = screen.texts.get(site.file)
    if text is None:
        screen.say(f"{site.file} is not on this computer")
        return
    command = [
        *shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or FALLBACK),
        f"+{site.line}",
        str(text.path),
    ]
    try:
        with screen.app.suspend():
            subprocess.run(command, check=False)
    except SuspendNotSupported:
        screen.say("an editor needs a terminal")
    except OSError as error:
        screen.say(f"cannot start {command[0]}: {error.strerror}")
    screen.refresh()
