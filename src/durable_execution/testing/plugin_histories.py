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

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from durable_execution.replay import Handlers, ReplayReport
    from durable_execution.replay.pool import ReplayPool

SUFFIX = ".history.json"
HANDLERS: "pytest.StashKey[Handlers]" = pytest.StashKey()
POOL: "pytest.StashKey[ReplayPool]" = pytest.StashKey()


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
        from durable_execution.replay.pool import ReplayPool
        from durable_execution.replay.supervisor import WorkerOptions

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

    (report,) = pool.check([Source(path.name, lambda: load_history(path))], handlers)
    return report


def failure_text(report: "ReplayReport") -> str:
    """The text that a failed test shows."""
    from durable_execution.replay import render

    hint = "If the change is intended, record the history again: pytest --durable-update"
    return f"{render([report], 'text')}{hint}"


def update_history(path: Path, handlers: "Handlers") -> None:
    """Record a history again and write it to its file."""
    import json

    from durable_execution.replay import load_history
    from durable_execution.testing.rerecording import record_again

    execution = load_history(path)
    events = record_again(handlers.find(execution), execution)
    path.write_text(json.dumps(events, indent=1, ensure_ascii=False, default=_iso) + "\n", encoding="utf-8")


def _iso(value: Any) -> str:
    return str(value.isoformat() if hasattr(value, "isoformat") else value)
