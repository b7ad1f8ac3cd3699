"""Where in the source a finding is shown."""

import os
from pathlib import Path

from durable_execution.observers import CallSite
from durable_execution.replay.divergence import Divergence


def site_of(divergence: Divergence) -> CallSite | None:
    """Where today's code makes the call; else where it was made when it was recorded."""
    for side in (divergence.replayed, divergence.recorded):
        if side is not None and side.call_site is not None:
            return side.call_site
    return None


def relative_in(text: str) -> str:
    """Text in which files below the working directory are called from there."""
    return text.replace(f"{Path.cwd()}{os.sep}", "")


def relative(file: str) -> str:
    """A file as it is called from the working directory, with forward slashes."""
    path = Path(file)
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()
