"""Replays many recordings, each against the handler of its function."""

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
        name: The recording's name in reports.
        load: Reads the recording.
    """

    name: str
    load: Callable[[], RecordedExecution]


@dataclass(slots=True)
class Handlers:
    """Chooses the handler for each recording.

    Attributes:
        rules: Handler references by function name; `*` matches every function without its own entry. A reference may
            contain `{function}`, which is replaced by the function's name as a Python name:
            `shop.workflows:{function}`.
    """

    rules: Mapping[str, str]
    _loaded: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, references: Iterable[str]) -> "Handlers":
        """Parse arguments: `module:handler` for every function, or `function=module:handler` for one.

        Raises:
            UnusableHandlerError: Two references name the same function.
        """
        rules: dict[str, str] = {}
        for reference in references:
            function, separator, target = reference.partition("=")
            key, value = (function, target) if separator else ("*", reference)
            if rules.setdefault(key, value) != value:
                raise UnusableHandlerError(f"both {rules[key]} and {value} are given for {key!r}: keep one of them")
        return cls(rules)

    def find(self, execution: RecordedExecution) -> Any:
        """Load the handler for a recording.

        Raises:
            UnusableHandlerError: No reference matches its function, or the handler cannot be loaded.
        """
        function = execution.function_name or execution.name or ""
        rule = self.rules.get(function) or self.rules.get("*")
        if rule is None:
            known = ", ".join(self.rules) or "none"
            raise UnusableHandlerError(
                f"no handler is given for the function {function!r} (given: {known}): add {function}=MODULE:HANDLER"
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
        on_report: Called with each report, to show progress.

    Yields:
        One report per recording. A recording that cannot be read, or has no handler, gets a report that says so.
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
        nothing = "the recording holds no events: the execution recorded nothing, or the export is incomplete"
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
