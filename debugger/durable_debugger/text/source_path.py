"""Paths of source files as shown: relative where possible, and as short as possible."""

import os
from pathlib import Path

from durable_execution.call_site import CallSite

LAMBDA_ROOT = "/var/task/"
"""Where Lambda unpacks a function: paths below it are relative to the project."""


def near(file: str, *, here: Path | None = None) -> str:
    """Return a path as shown: relative to the current directory, relative to `~`, or unchanged.

    The file system is not read: the file may be on a different computer.

    Args:
        file: The path.
        here: Base directory; None uses the current directory.
    """
    if file.startswith(LAMBDA_ROOT):
        return file.removeprefix(LAMBDA_ROOT)
    for place, prefix in ((here or Path.cwd(), ""), (Path.home(), f"~{os.sep}")):
        if place != Path(place.anchor) and Path(file).is_relative_to(place):
            return prefix + str(Path(file).relative_to(place))
    return file


def nearer(text: str) -> str:
    """Shorten the paths in a text: paths below the current directory become relative."""
    here = f"{Path.cwd()}{os.sep}"
    return (text.replace(here, "") if len(here) > 1 else text).replace(LAMBDA_ROOT, "")


def site_words(site: CallSite) -> str:
    """Format a call site: `flow.py:42 in process_order`."""
    return str(site._replace(file=near(site.file)))
