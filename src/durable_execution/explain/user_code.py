"""The lines of the user's code in a recorded traceback, without those of libraries.

A deployment package holds libraries beside the handler: `/var/task/stripe/` looks like a package of the user. What is known of the
user's files decides, and what is known of none of them is a library.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from durable_execution.call_site import CallSite
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import ErrorObject
from durable_execution.trace.sources import installed_in

FRAME = re.compile(r"^(?P<file>.+?):(?P<line>\d+) in (?P<function>[^:]+)")
PYTHON_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')
LIBRARY = re.compile(
    r"site-packages|dist-packages|(^|[/\\])(aws_)?durable_execution(_sdk_python)?[/\\]|^<|^/opt/python/|^/var/runtime/"
    r"|[/\\]lib(64)?[/\\]python3\.\d+[/\\]|[/\\]Python[^/\\]*[/\\]Lib[/\\]"
)
"""Paths of installed packages, this SDK, the standard library, generated code, and Lambda's layers and runtime."""

PACKAGE = "/var/task/"
"""Where Lambda unpacks a deployment package."""


def own_files(execution: RecordedExecution) -> frozenset[str]:
    """Return the user's files as far as replay traces name them: those that call operations, and those kept as source."""
    sites = (operation.call_site for operation in execution.operations)
    kept = (line.get("file") for trace in execution.traces for line in trace.sources)
    return frozenset(
        {site.file for site in sites if site is not None} | {file for file in kept if isinstance(file, str)}
    )


def site_of_error(error: ErrorObject | None, known: Collection[str] = ()) -> CallSite | None:
    """Return the innermost line of the user's code in a recorded stack trace; None without one.

    Args:
        error: The error.
        known: Files of the user that are known; see `own_files`.
    """
    found = sites_of_error(error, known)
    return found[-1] if found else None


def sites_of_error(error: ErrorObject | None, known: Collection[str] = ()) -> list[CallSite]:
    """Return the lines of the user's code in a recorded stack trace, outermost first.

    Args:
        error: The error.
        known: Files of the user that are known; see `own_files`.
    """
    sites = [
        CallSite(match["file"], int(match["line"]), match["function"].strip())
        for text in ((error.stack_trace or ()) if error else ())
        for match in (*FRAME.finditer(str(text)), *PYTHON_FRAME.finditer(str(text)))
        if LIBRARY.search(match["file"]) is None
    ]
    if len(sites) < 2:
        return sites
    own = {*known, sites[0].file}
    return [site for site in sites if site.file in own or not _is_packaged(site.file, own)]


def _is_packaged(file: str, own: Iterable[str]) -> bool:
    """Whether a file belongs to a library that was packaged beside files of the user."""
    for root in dict.fromkeys(map(_root, own)):
        if not file.startswith(root):
            continue
        top, *below = _below(root, file)
        own_tops = {_below(root, one)[0] for one in own if one.startswith(root)}
        if below and top in own_tops:
            continue
        if any(_is_installed(root, top, one) for one in own_tops):
            return True
        if below and root == PACKAGE and not Path(top, *below).is_file():
            return True
    return False


def _below(root: str, file: str) -> list[str]:
    return file.removeprefix(root).replace("\\", "/").split("/")


def _root(file: str) -> str:
    """The folder whose entries are the user's files and what is packaged beside them."""
    if file.startswith(PACKAGE):
        return PACKAGE
    return file[: max(file.rfind("/"), file.rfind("\\")) + 1]


def _is_installed(root: str, top: str, own_top: str) -> bool:
    """Whether an entry of a folder is an installed distribution, where that folder is on this computer."""
    folder = Path.cwd() if root == PACKAGE else Path(root)
    return folder.is_dir() and top in installed_in(str(folder), own_top)
