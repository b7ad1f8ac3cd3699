"""Recorded histories as tests: pytest replays every `*.history.json` in a directory against the current handler.

In `pyproject.toml`, or any other file that pytest reads options from:

```toml
[tool.pytest.ini_options]
durable_histories = ["tests/histories"]
durable_handlers = ["shop.orders:process_order"]
```

`durable_handlers` names one handler for all histories, or `function=module:handler` for each function. `{function}` is replaced
with the name of the function. A test fails with a five-line explanation when its history diverges. `pytest --durable-update`
records such histories again on the local engine, with the recorded input. This runs the bodies of steps.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from durable_execution.comparison.runtime_check import target_of
from durable_execution.errors import DurableError
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.local import LocalEngine
from durable_execution.local.clocks import SkippingClock
from durable_execution.local.id_source import CountingIds
from durable_execution.paging import pages
from durable_execution.private_files import write_private
from durable_execution.protocol import ExecutionArn, OperationStatus, OperationType, Wire
from durable_execution.retry import drawing_from

if TYPE_CHECKING:
    from durable_execution.replay import Handlers, ReplayReport
    from durable_execution.replay.workers.pool import ReplayPool

SUFFIX = ".history.json"
HANDLERS: "pytest.StashKey[Handlers]" = pytest.StashKey()
POOL: "pytest.StashKey[ReplayPool]" = pytest.StashKey()
DEFAULT_FUNCTION = "function"
DERIVED = frozenset(
    {
        "execution",
        "started_at",
        "ended_at",
        "status",
        "input",
        "result",
        "error",
        "invocations",
        "operations",
        "divergences",
        "notes",
    }
)
"""Members of exported documents that are read from the events, which a new run makes stale."""


class HistoryDivergedError(Exception):
    """A recorded history has diverged from the handler.

    Attributes:
        report: The result of the replay.
    """

    def __init__(self, report: "ReplayReport") -> None:
        super().__init__(report.source)
        self.report = report


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this plugin."""
    group = parser.getgroup("durable", "durable executions")
    group.addoption(
        "--durable-update",
        action="store_true",
        help="record diverged histories again on the local engine; runs the bodies of steps",
    )
    parser.addini("durable_histories", "directories of recorded histories (*.history.json)", type="paths", default=[])
    parser.addini("durable_handlers", "handlers to replay histories against: module:handler or function=module:handler",
                  type="linelist", default=[])  # fmt: skip


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a recorded history in one of the directories."""
    if not file_path.name.endswith(SUFFIX):
        return None
    directories: list[Path] = parent.config.getini("durable_histories")
    if not any(directory in file_path.parents for directory in directories):
        return None
    collected: pytest.Collector = HistoryFile.from_parent(parent, path=file_path)
    return collected


class HistoryFile(pytest.File):
    """One file with a recorded history."""

    def collect(self) -> Iterable[pytest.Item]:
        """The single test in the file."""
        yield HistoryItem.from_parent(self, name="replay")


class HistoryItem(pytest.Item):
    """The replay of one recorded history."""

    def runtest(self) -> None:
        """Replay the history.

        Raises:
            HistoryDivergedError: The history has diverged from the handler.
        """
        report = replay_file(self.path, self._handlers(), self._pool())
        if report.is_same:
            return
        if self.config.getoption("durable_update"):
            update_history(self.path, self._handlers())
            return
        raise HistoryDivergedError(report)

    def _handlers(self) -> "Handlers":
        from durable_execution.replay import Handlers, UnusableHandlerError

        found = self.config.stash.get(HANDLERS, None)
        if found is None:
            references: list[str] = self.config.getini("durable_handlers")
            if not references:
                raise pytest.UsageError(
                    "durable_histories needs durable_handlers. Set it to a handler, such as package.module:handler"
                )
            try:
                found = self.config.stash[HANDLERS] = Handlers.parse(references)
            except UnusableHandlerError as error:
                raise pytest.UsageError(str(error)) from None
        return found

    def _pool(self) -> "ReplayPool":
        """The processes that replay, which all tests of this session share."""
        from durable_execution.replay.workers.pool import ReplayPool
        from durable_execution.replay.workers.supervisor import WorkerOptions

        found = self.config.stash.get(POOL, None)
        if found is None:
            found = self.config.stash[POOL] = ReplayPool(WorkerOptions(jobs=1))
        return found

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The explanation of a divergence; for any other error, pytest's own text."""
        if isinstance(excinfo.value, HistoryDivergedError):
            return failure_text(excinfo.value.report)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The location of the test: its file."""
        return self.path, None, f"replay of {self.path.name}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the processes that replay."""
    pool = config.stash.get(POOL, None)
    if pool is not None:
        pool.close()


def replay_file(path: Path, handlers: "Handlers", pool: "ReplayPool") -> "ReplayReport":
    """Replay the history in a file, in a process of its own."""
    from durable_execution.replay import Source, load_history

    (report,) = pool.check([Source(_shown_path(path), lambda: load_history(path))], handlers)
    return report


def failure_text(report: "ReplayReport") -> str:
    """The text that a failed test shows."""
    from durable_execution.replay import render

    hint = "If the change is intended, record the history again: pytest --durable-update"
    return f"{render([report], 'text')}{hint}"


def update_history(path: Path, handlers: "Handlers") -> None:
    """Record a history again and write it to its file."""
    from durable_execution.history.reading import text_in
    from durable_execution.protocol.safe_text import json_text
    from durable_execution.replay import load_history

    execution = load_history(path)
    events = record_again(handlers.find(execution, _shown_path(path)), execution)
    text = json_text(rewritten(text_in(path.read_bytes()), events), indent=1) + "\n"
    beside = path.with_name(f"{path.name}.new")  # so that a crash leaves the old file
    write_private(beside, text)
    shutil.copymode(path, beside)
    beside.replace(path)


def _shown_path(path: Path) -> str:
    """The path below the working directory, which names the folders that may be named after a function."""
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


class RerecordingError(DurableError):
    """An execution cannot be recorded again."""


def record_again(handler: Any, execution: RecordedExecution) -> list[Wire]:
    """Run a new execution with the recorded input and return its history. Step bodies run.

    Callbacks and invoked functions give their recorded answers, in order; waits are skipped. The execution has the recorded
    ARN, name and start, so that the same handler gives the same history every time.

    Args:
        handler: A handler made with `@durable_execution`.
        execution: The recording.

    Raises:
        RerecordingError: The execution waits for an answer that was not recorded.
    """
    function = execution.function_name or DEFAULT_FUNCTION
    clock = SkippingClock(execution.started_at)
    with _same_chance(execution), LocalEngine(None, clock=clock, ids=CountingIds(), trace_sink=False) as engine:
        for name, answers in _invoked(execution).items():
            if name != function:
                engine.register(name, _answering(name, answers))
        engine.register(function, handler)
        payload = json.loads(execution.input) if execution.input else {}
        arn = engine.start(function, payload, arn=execution.arn or _arn_for(function, execution))
        engine.run_until_idle(skips="work")
        for callback in _callbacks(execution):
            if engine.result(arn) is not None:
                break
            _answer(engine, arn, callback)
            engine.run_until_idle(skips="work")
        return _as_recorded(_history(engine, arn), execution)


@contextmanager
def _same_chance(execution: RecordedExecution) -> Iterator[None]:
    """Make random numbers the same in every run, such as those that spread retries."""
    seed = execution.arn or execution.id or ""
    before = random.getstate()
    random.seed(seed)
    try:
        with drawing_from(seed):
            yield
    finally:
        random.setstate(before)


def _arn_for(function: str, execution: RecordedExecution) -> str | None:
    """Return an ARN with the recorded id and name, for a recording without one."""
    if execution.id is None:
        return None
    return str(ExecutionArn(function, execution.name or execution.id, execution.id))


def rewritten(text: str, events: list[Wire]) -> Any:
    """Return the document of a recording with other events. What else it holds is kept, its ARN included.

    What is derived from the events, and replay traces of the recorded run, are left out.

    Args:
        text: The document that was recorded: a list of events, a history, an exported report or a bundle.
        events: The events of the new run.
    """
    document = json.loads(text)
    if not isinstance(document, dict):
        return events
    if "Events" in document:
        return {**{key: value for key, value in document.items() if key != "NextMarker"}, "Events": events}
    kept = {key: value for key, value in document.items() if key not in DERIVED}
    return {**kept, "is_from_trace": False, "events": events, "traces": ""}


def _as_recorded(events: list[Wire], execution: RecordedExecution) -> list[Wire]:
    """Return the events with the recorded time limit, which a new run does not need."""
    key = "ExecutionStartedDetails"
    recorded: Wire = next((event[key] for event in execution.events if isinstance(event.get(key), dict)), {})
    limit = {"ExecutionTimeout": recorded["ExecutionTimeout"]} if "ExecutionTimeout" in recorded else {}
    return [{**event, key: {**event[key], **limit}} if key in event else event for event in events]


def _callbacks(execution: RecordedExecution) -> list[RecordedOperation]:
    ended = [
        one
        for one in execution.operations
        if one.type is OperationType.CALLBACK and one.status.is_terminal and one.ended_at
    ]
    return sorted(ended, key=lambda one: one.events[-1] if one.events else 0)


def _answer(engine: LocalEngine, arn: str, callback: RecordedOperation) -> None:
    callback_id = engine.wait_for_callback_id(arn, callback.name)
    if callback.status is OperationStatus.SUCCEEDED:
        result = callback.result or ""
        engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=result.encode())
        return
    error = callback.error.to_wire() if callback.error else {"ErrorType": "Error"}
    engine.client.send_durable_execution_callback_failure(CallbackId=callback_id, Error=error)


def _invoked(execution: RecordedExecution) -> dict[str, list[RecordedOperation]]:
    found: dict[str, list[RecordedOperation]] = {}
    for operation in execution.operations:
        name = operation.details.get("function_name")
        if operation.type is OperationType.CHAINED_INVOKE and name:
            found.setdefault(target_of(str(name)), []).append(operation)
    return found


def _answering(name: str, answers: list[RecordedOperation]) -> Callable[[Any, Any], Any]:
    remaining = iter(answers)

    def answer(_event: Any, _context: Any) -> Any:
        recorded = next(remaining, None)
        if recorded is None:
            raise RerecordingError(
                f"{name} is invoked more often than recorded: the recording has no answer for this invocation"
            )
        if recorded.status is not OperationStatus.SUCCEEDED:
            raise RerecordingError(
                recorded.error.message if recorded.error else "the recorded invocation failed without an error message"
            )
        return json.loads(recorded.result) if recorded.result else None

    return answer


def _history(engine: LocalEngine, arn: str) -> list[Wire]:
    options = {"DurableExecutionArn": arn, "IncludeExecutionData": True, "MaxItems": 1000}
    return [event for page in pages(engine.client.get_durable_execution_history, "Events", **options) for event in page]
