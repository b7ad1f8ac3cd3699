"""Replays many recordings against one handler or many."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from durable_execution.errors import DurableError
from durable_execution.replay.recorded import RecordedExecution
from durable_execution.replayer.loading import load_handler
from durable_execution.replayer.replayer import DEFAULT_SECONDS, Replayer
from durable_execution.replayer.report import ReplayReport, Verdict
from durable_execution.replayer.run import UnusableHandlerError

PLACEHOLDER = "{function}"


@dataclass(frozen=True, slots=True)
class Source:
    """A recording that has not been read yet.

    Attributes:
        name: What to call it.
        load: Reads it.
    """

    name: str
    load: Callable[[], RecordedExecution]


@dataclass(slots=True)
class Handlers:
    """Which handler a recording is replayed against.

    Attributes:
        rules: References, by the function's name; `*` is any other function. A reference may hold `{function}`, which
            becomes the function's name as a Python name: `shop.workflows:{function}`.
    """

    rules: Mapping[str, str]
    _loaded: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, references: Iterable[str]) -> "Handlers":
        """Handlers from arguments: `module:handler` for all, or `function=module:handler` for one.

        Raises:
            UnusableHandlerError: Two references mean the same.
        """
        rules: dict[str, str] = {}
        for reference in references:
            function, separator, target = reference.partition("=")
            key, value = (function, target) if separator else ("*", reference)
            if rules.setdefault(key, value) != value:
                raise UnusableHandlerError(f"{rules[key]} and {value} are both named for {key!r}: keep one of them")
        return cls(rules)

    def find(self, execution: RecordedExecution) -> Any:
        """The handler for a recording.

        Raises:
            UnusableHandlerError: None is named for its function, or it cannot be loaded.
        """
        function = execution.function_name or execution.name or ""
        rule = self.rules.get(function) or self.rules.get("*")
        if rule is None:
            known = ", ".join(self.rules) or "none"
            raise UnusableHandlerError(
                f"no handler is named for the function {function!r} (there are: {known}): add {function}=MODULE:HANDLER"
            )
        reference = rule.replace(PLACEHOLDER, re.sub(r"\W", "_", function))
        if reference not in self._loaded:
            self._loaded[reference] = _attempt(lambda: load_handler(reference))
        found = self._loaded[reference]
        if isinstance(found, UnusableHandlerError):
            raise found
        return found


def check(
    sources: Iterable[Source],
    handlers: Handlers | Any,
    *,
    seconds: float = DEFAULT_SECONDS,
    on_report: Callable[[ReplayReport], None] | None = None,
) -> Iterator[ReplayReport]:
    """Replay recordings one by one.

    Args:
        sources: The recordings.
        handlers: One handler, or `Handlers` to choose from.
        seconds: Time limit for each recording.
        on_report: Told of each report, for progress.

    Yields:
        A report per recording; one that cannot be read, or has no handler, has a report that says so.
    """
    for source in sources:
        report = _check_one(source, handlers, seconds)
        if on_report is not None:
            on_report(report)
        yield report


def _check_one(source: Source, handlers: Handlers | Any, seconds: float) -> ReplayReport:
    try:
        execution = source.load()
    except DurableError as error:
        return ReplayReport(source.name, _name(handlers), Verdict.UNREADABLE, error=str(error))
    if not execution.operations and not execution.events:
        nothing = "it holds no events: nothing was recorded, or the export is incomplete"
        return ReplayReport(source.name, _name(handlers), Verdict.UNREADABLE, error=nothing, execution=execution)
    try:
        handler = handlers.find(execution) if isinstance(handlers, Handlers) else handlers
        return Replayer(handler, seconds=seconds).replay(execution, source=source.name)
    except UnusableHandlerError as error:
        return ReplayReport(source.name, _name(handlers), Verdict.FAILED, error=str(error), execution=execution)


def _name(handlers: Handlers | Any) -> str:
    if isinstance(handlers, Handlers):
        return ", ".join(dict.fromkeys(handlers.rules.values()))
    return str(getattr(handlers, "name", handlers))


def _attempt(load: Callable[[], Any]) -> Any:
    try:
        return load()
    except UnusableHandlerError as error:
        return error
