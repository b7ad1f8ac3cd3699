"""Loads handlers from `package.module:handler` or `path/to/file.py:handler`, and recordings from files."""

import difflib
import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from durable_execution import module_files
from durable_execution.errors import DurableError
from durable_execution.handler import DurableHandler, handler_in
from durable_execution.history.documents import read_text
from durable_execution.history.reading import UnreadableHistoryError, text_in
from durable_execution.history.recorded import RecordedExecution
from durable_execution.module_files import import_file
from durable_execution.replay.run import UnknownHandlerError, UnusableHandlerError
from durable_execution.trace import read_traces

HISTORY_SUFFIX = ".history.json"
TRACE_SUFFIX = ".trace.jsonl"
SUFFIXES = (".json", ".bundle")


def load_handler(reference: str) -> DurableHandler[Any]:
    """Load the handler that `module:name` or `file.py:name` refers to, without the decorators around it.

    Raises:
        UnknownHandlerError: The handler does not exist, or it is not durable.
        UnusableHandlerError: Its module cannot be imported.
    """
    place, separator, name = reference.rpartition(":")
    if not separator or not place or not name:
        raise UnknownHandlerError(
            f"{reference!r} is not a handler reference: write package.module:handler or path/to/file.py:handler"
        )
    module = _module(place)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    handler = handler_in(found)
    if handler is not None:
        return handler
    raise UnknownHandlerError(_why_not(module, place, name, found))


def history_files(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Expand paths to history files: a file stands for itself, a directory for every `*.json` and `*.bundle` below it."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.suffix in SUFFIXES and found.is_file())
        else:
            yield path


def load_history(path: str | Path) -> RecordedExecution:
    """Load a recorded execution from a file: a history, an exported JSON report, a bundle, or a replay trace alone.

    A replay trace beside a history, `NAME.trace.jsonl`, is read with it.

    Raises:
        UnreadableHistoryError: The file cannot be read, or is not a history.
    """
    path = Path(path)
    try:
        return read_text(text_in(path.read_bytes()), traces=_traces_beside(path))
    except OSError as error:
        raise UnreadableHistoryError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UnreadableHistoryError(
            f"{path} is not text ({error}); the file may be truncated. Export the history again"
        ) from None
    except DurableError as error:
        raise UnreadableHistoryError(f"{path}: {error}") from None


def _traces_beside(path: Path) -> tuple[Any, ...]:
    stem = path.name.removesuffix(HISTORY_SUFFIX) if path.name.endswith(HISTORY_SUFFIX) else path.stem
    beside = path.with_name(stem + TRACE_SUFFIX)
    is_other = beside != path and beside.is_file()
    return read_traces(text_in(beside.read_bytes())) if is_other else ()


def _module(place: str) -> ModuleType:
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    try:
        return _from_file(Path(place)) if is_file else _by_name(place)
    except (UnusableHandlerError, KeyboardInterrupt):
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise UnknownHandlerError(
                f"no module named {place!r}: check the spelling and PYTHONPATH, or give the file, path/to/file.py:handler"
            ) from None
        raise UnusableHandlerError(f"cannot import {place}: {error}") from error
    except BaseException as error:  # importing a module can raise anything, including SystemExit
        where = _where(error)
        raise UnusableHandlerError(f"cannot import {place}: {type(error).__name__}: {error}{where}") from error


def _by_name(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UnknownHandlerError(
            f"{path} is a directory, not a Python file" if path.is_dir() else f"no such file: {path}"
        )
    return import_file(path)


def _why_not(module: ModuleType, place: str, name: str, found: Any) -> str:
    handlers = [key for key, value in vars(module).items() if isinstance(value, DurableHandler)]
    known = f"; its durable handlers are {', '.join(handlers)}" if handlers else "; it has no durable handlers"
    if found is not None:
        return f"{place}:{name} is not a durable handler: decorate it with @durable_execution{known}"
    near = difflib.get_close_matches(name, handlers, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{place} has no {name!r}{hint}{known}"


def _where(error: BaseException) -> str:
    traceback, line = error.__traceback__, None
    while traceback is not None:
        if "importlib" not in traceback.tb_frame.f_code.co_filename and traceback.tb_frame.f_code.co_filename not in (
            __file__,
            module_files.__file__,
        ):
            line = f" at {traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return line or ""
