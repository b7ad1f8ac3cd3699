"""Executions in files or on stdin: histories from the API or the AWS CLI, replay traces, exported bundles."""

import gc
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from durable_debugger.sources.found import Loaded, NoEventsError, UnreadableError
from durable_execution.errors import DurableError
from durable_execution.history.documents import read_text
from durable_execution.history.event_texts import LARGE_TEXT
from durable_execution.history.reading import UnreadableHistoryError, text_in
from durable_execution.history.recorded import RecordedExecution
from durable_execution.trace import read_traces
from durable_execution.trace.schema import InvocationTrace

TRACE_SUFFIX = ".trace.jsonl"
STDIN = "-"
SUFFIXES = (".json", ".jsonl", ".bundle")


def is_file_reference(reference: str) -> bool:
    """Whether a reference names a file: stdin, an existing file, or a name with a known suffix."""
    if reference == STDIN or reference.endswith(SUFFIXES):
        return True
    try:
        return Path(reference).is_file()
    except (OSError, ValueError):
        return False


def no_file(reference: str) -> str:
    """Say why a reference names no file: a directory is one for `check` only."""
    try:
        folder = Path(reference)
        if folder.is_dir():
            example = next(iter(sorted(one.name for one in folder.iterdir() if one.name.endswith(SUFFIXES))), "FILE")
            return f"{reference} is a directory: name a file in it, such as {folder / example}"
    except (OSError, ValueError):  # not a path at all
        pass
    return f"no file {reference}"


def file_size(reference: str) -> int:
    """Return the size of the file a reference names, in bytes; 0 when it names none."""
    try:
        return Path(reference).stat().st_size if reference != STDIN else 0
    except (OSError, ValueError):
        return 0


@contextmanager
def without_collection() -> Iterator[None]:
    """Pause the garbage collector: a large recording is millions of objects that all stay."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def parsed(text: str) -> Any:
    """Parse JSON; a large text by the faster parser, where that accepts it. Loading it takes longer than a small text."""
    if len(text) < LARGE_TEXT:
        return json.loads(text)
    from pydantic_core import from_json

    try:
        return from_json(text)
    except ValueError:  # the standard library accepts more, such as lone surrogates
        return json.loads(text)


StoredFor = Callable[[str], Sequence[InvocationTrace]]


def load_file(reference: str, *, trace: str | None = None, stored: StoredFor | None = None) -> Loaded:
    """Read an execution from a file.

    Args:
        reference: Path of the file, or `-` for stdin.
        trace: Path of its replay trace; a trace with the same name beside the file is found automatically.
        stored: Finds the replay traces of an ARN, for a history that has none beside it.

    Raises:
        UnreadableError: The file is missing or holds no execution.
        NoEventsError: Its history is empty.
    """
    text = _text(reference)
    try:
        with without_collection():
            execution = read_execution(text, traces=_traces_beside(reference, trace))
            if stored is not None and execution.arn and not execution.traces and (found := stored(execution.arn)):
                execution = read_execution(text, traces=found)
    except DurableError as error:
        raise UnreadableError(f"{_shown(reference)} holds no execution: {error}") from error
    title = "stdin" if reference == STDIN else _stem(Path(reference).name)
    loaded = Loaded(execution, _shown(reference), last_moment(execution), title=title)
    if not (execution.events or execution.operations or execution.traces or execution.started_at):
        raise NoEventsError(loaded)
    return loaded


def read_execution(text: str, *, traces: Sequence[InvocationTrace] = ()) -> RecordedExecution:
    """Parse the text of a file: a history, a JSON export, a bundle or a replay trace.

    Raises:
        DurableError: The text is not one of these.
    """
    return read_text(text, traces=traces, parse=parsed)


def last_moment(execution: RecordedExecution) -> datetime | None:
    """Return the latest recorded time."""
    moments = [execution.ended_at, execution.started_at]
    moments += [each.ended_at for each in execution.invocations]
    for operation in execution.operations:
        moments += [operation.ended_at, operation.started_at]
    return max((moment for moment in moments if moment is not None), default=None)


def _traces_beside(reference: str, trace: str | None) -> Sequence[InvocationTrace]:
    if trace is not None:
        try:
            return read_traces(_text(trace))
        except DurableError as error:
            raise UnreadableError(f"{trace} holds no replay trace: {error}") from error
    if reference == STDIN:
        return ()
    beside = Path(reference).with_name(_stem(Path(reference).name) + TRACE_SUFFIX)
    if not beside.is_file() or beside == Path(reference):
        return ()
    return read_traces(_text(str(beside)))


def _text(reference: str) -> str:
    try:
        return sys.stdin.read() if reference == STDIN else text_in(Path(reference).read_bytes())
    except FileNotFoundError as error:
        raise UnreadableError(f"no file {reference}") from error
    except IsADirectoryError as error:
        raise UnreadableError(f"{reference} is a directory: name a file in it") from error
    except (OSError, UnicodeDecodeError, UnreadableHistoryError) as error:
        raise UnreadableError(f"cannot read {_shown(reference)}: {error}") from error


def _stem(name: str) -> str:
    for suffix in (TRACE_SUFFIX, ".history.json", ".bundle.json", *SUFFIXES):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _shown(reference: str) -> str:
    return "stdin" if reference == STDIN else reference
