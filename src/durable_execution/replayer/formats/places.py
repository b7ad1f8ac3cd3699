"""Finds the source location to show for a finding."""

import os
from pathlib import Path

from durable_execution.observers import CallSite
from durable_execution.replay.divergence import Divergence


def site_of(divergence: Divergence) -> CallSite | None:
    """Return the replayed call's call site, or the recorded one if the code did not make the call."""
    for side in (divergence.replayed, divergence.recorded):
        if side is not None and side.call_site is not None:
            return side.call_site
    return None


def relative_in(text: str) -> str:
    """Shorten paths below the working directory to relative paths in a text."""
    return text.replace(f"{Path.cwd()}{os.sep}", "")


def relative(file: str) -> str:
    """Return a path relative to the working directory, with forward slashes."""
    path = Path(file)
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()
