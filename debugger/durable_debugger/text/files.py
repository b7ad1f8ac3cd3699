"""Paths of source files as people read them: from where they are, and no longer than they need to be."""

import os
from pathlib import Path

from durable_execution.observers import CallSite


def near(file: str, *, here: Path | None = None) -> str:
    """A path as it is shown: relative below the current directory, from `~` below the home directory, else as it is.

    Nothing is looked up: the file may be on another computer.

    Args:
        file: The path.
        here: The directory to see it from; None is the current one.
    """
    for place, prefix in ((here or Path.cwd(), ""), (Path.home(), f"~{os.sep}")):
        if place != Path(place.anchor) and Path(file).is_relative_to(place):
            return prefix + str(Path(file).relative_to(place))
    return file


def nearer(text: str) -> str:
    """Words in which paths stand: those below the current directory are relative to it."""
    here = f"{Path.cwd()}{os.sep}"
    return text.replace(here, "") if len(here) > 1 else text


def site_words(site: CallSite) -> str:
    """A call site as it is shown: `flow.py:42 in process_order`."""
    return str(site._replace(file=near(site.file)))
