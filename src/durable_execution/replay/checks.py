"""Replays many recordings, each against the handler of its function.

Lists the running executions of a deployed function, to replay them against new code.

Replays a recording as it stood after each event, to find code that breaks only when suspended at one point.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePath
from typing import Any

from durable_execution.counts import counted
from durable_execution.divergence import Divergence, Severity
from durable_execution.errors import DurableError
from durable_execution.history.reading import UnreadableHistoryError, read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.paging import pages
from durable_execution.protocol import Wire
from durable_execution.replay.loading import load_handler
from durable_execution.replay.refusals import reading_problem
from durable_execution.replay.replayer import DEFAULT_SECONDS, Replayer, state_at
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.replay.run import UnknownHandlerError, UnusableHandlerError

PLACEHOLDER = "{function}"
NO_ARN = "the recording has no ARN"


@dataclass(frozen=True, slots=True)
class Source:
    """A recording that has not been read yet.

    Attributes:
        name: The recording's name in reports.
        load: Reads the recording.
    """

    name: str
    load: Callable[[], RecordedExecution]


@dataclass(frozen=True, slots=True)
class Choice:
    """The handler that was chosen for a recording.

    Attributes:
        rule: Its reference, with `{function}` where the function's name goes.
        function: The recording's function, as far as it is known.
        why: Why this one, for a recording that does not say which function it is of; else empty.
    """

    rule: str
    function: str
    why: str = ""

    @property
    def reference(self) -> str:
        """`module:handler` or `file.py:handler`."""
        return self.rule.replace(PLACEHOLDER, re.sub(r"\W", "_", self.function))

    def noted(self, report: ReplayReport) -> ReplayReport:
        """Return a report that says why this handler was chosen."""
        return replace(report, notes=(*report.notes, self.why)) if self.why else report


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
            UnknownHandlerError: Two references name the same function.
        """
        rules: dict[str, str] = {}
        for reference in references:
            function, separator, target = reference.partition("=")
            key, value = (function, target) if separator else ("*", reference)
            if rules.setdefault(key, value) != value:
                raise UnknownHandlerError(f"both {rules[key]} and {value} are given for {key!r}: keep one of them")
        return cls(rules)

    @property
    def only(self) -> str | None:
        """The reference of the handler, if it is the same for every function."""
        reference = self.rules.get("*")
        return reference if reference is not None and len(self.rules) == 1 and PLACEHOLDER not in reference else None

    def choose(self, execution: RecordedExecution, source: str = "") -> "Choice":
        """Choose the handler for a recording.

        A recording without an ARN does not say which function it is of. It is matched by the name of its file or of a folder
        it is in, or by being given one handler only.

        Args:
            execution: The recording.
            source: Its name: a file or an ARN.

        Raises:
            UnknownHandlerError: No reference matches its function.
        """
        function = execution.function_name
        if function is not None:
            return Choice(self._rule(function), function)
        named = next((one for one in _names_in(source) if one in self.rules), None)
        if named is not None:
            return Choice(self.rules[named], named, f"{NO_ARN}: taken for {named!r}, by the name of its file or folder")
        rule = self.rules.get("*")
        if rule is not None and PLACEHOLDER not in rule:
            why = f"{NO_ARN}: replayed against {rule}, the only candidate" if len(self.rules) == 1 else ""
            return Choice(
                rule, execution.name or "", why or f"{NO_ARN}: replayed against {rule}, which is for any function"
            )
        if rule is None and len(self.rules) == 1:
            ((only, reference),) = self.rules.items()
            return Choice(reference, only, f"{NO_ARN}: taken for {only!r}, the only candidate")
        guess = next(iter(_names_in(source)), execution.name or "")
        if rule is None:
            known = ", ".join(self.rules)
            raise UnknownHandlerError(
                f"{NO_ARN}, so its function is not known: name the file or its folder after the function (one of {known}), or "
                'add the ARN to the file: {"DurableExecutionArn": ..., "Events": ...}'
            )
        return Choice(rule, guess, f"{NO_ARN}: taken for {guess!r}, by the name of its file")

    def _rule(self, function: str) -> str:
        rule = self.rules.get(function) or self.rules.get("*")
        if rule is None:
            known = ", ".join(self.rules) or "none"
            raise UnknownHandlerError(
                f"no handler is given for the function {function!r} (given: {known}): add {function}=MODULE:HANDLER"
            )
        return rule

    def find(self, execution: RecordedExecution, source: str = "") -> Any:
        """Load the handler for a recording, in this process; see `choose`.

        Raises:
            UnusableHandlerError: No reference matches its function, or the handler cannot be loaded.
        """
        reference = self.choose(execution, source).reference
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
    cause: bool = True,
    on_report: Callable[[ReplayReport], None] | None = None,
) -> Iterator[ReplayReport]:
    """Replay recordings one by one, in this process.

    A handler that exits, crashes or hangs takes this process with it, and only the audit hook isolates it. Where handlers
    are given by reference, `check_in_workers` replays them in processes of their own.

    Args:
        sources: The recordings.
        handlers: One handler, or `Handlers` to choose from.
        seconds: Time limit for each recording.
        cause: Whether to look for the line that makes the first difference; replays twice more in this process.
        on_report: Called with each report, to show progress.

    Yields:
        One report per recording. A recording that cannot be read, or has no handler, gets a report that says so.
    """
    for source in sources:
        report = _check_one(source, handlers, seconds, cause=cause)
        if on_report is not None:
            on_report(report)
        yield report


def _check_one(source: Source, handlers: Handlers | Any, seconds: float, *, cause: bool) -> ReplayReport:
    execution = read_source(source, handlers)
    if isinstance(execution, ReplayReport):
        return execution
    try:
        choice = handlers.choose(execution, source.name) if isinstance(handlers, Handlers) else None
        handler = handlers.find(execution, source.name) if isinstance(handlers, Handlers) else handlers
        report = Replayer(handler, seconds=seconds, cause=cause).replay(execution, source=source.name)
        return choice.noted(report) if choice is not None else report
    except UnusableHandlerError as error:
        return without_handler(source.name, _name(handlers), error, execution)


def without_handler(
    source: str, handler: str, error: UnusableHandlerError, execution: RecordedExecution
) -> ReplayReport:
    """Return the report of a recording whose handler cannot be used."""
    verdict = Verdict.NO_HANDLER if isinstance(error, UnknownHandlerError) else Verdict.FAILED
    return ReplayReport(source, handler, verdict, error=str(error), execution=execution)


def read_source(source: Source, handlers: Handlers | Any) -> RecordedExecution | ReplayReport:
    """Read a recording. Returns a report that says why, if it cannot be read."""
    try:
        execution = source.load()
    except DurableError as error:
        return ReplayReport(source.name, _name(handlers), Verdict.UNREADABLE, error=str(error))
    if not execution.operations and not execution.events:
        nothing = "the recording holds no events: the execution recorded nothing, or the export is incomplete"
        return ReplayReport(source.name, _name(handlers), Verdict.UNREADABLE, error=nothing, execution=execution)
    return execution


def _names_in(source: str) -> Iterator[str]:
    """Yield the names that a recording's file and folders give it: of the file, its first part, then the folders inside out."""
    *folders, file = PurePath(source).parts or ("",)
    stem = re.sub(r"(\.(history|trace|bundle))?\.(json|jsonl|bundle)$", "", file)
    yield from dict.fromkeys(name for name in (stem, stem.partition(".")[0], *reversed(folders)) if name)


def _name(handlers: Handlers | Any) -> str:
    if isinstance(handlers, Handlers):
        return ", ".join(dict.fromkeys(handlers.rules.values()))
    return str(getattr(handlers, "name", handlers))


def _attempt(load: Callable[[], Any]) -> Any:
    try:
        return load()
    except UnusableHandlerError as error:
        return error


OPEN = ("RUNNING", "PAUSING", "PAUSED")
"""The statuses of executions that have not ended."""

PAGE = 1000


def running_executions(
    client: Any, function: str, *, qualifier: str | None = None, statuses: Sequence[str] = OPEN
) -> Iterator[Source]:
    """List a function's executions that have not ended, as recordings for `check`.

    Args:
        client: `boto3.client("lambda")`, or the local engine's client.
        function: The function's name or ARN.
        qualifier: List only executions of this version or alias.
        statuses: List only executions with one of these statuses.

    Raises:
        Exception: The client's error when it cannot list the executions.
    """
    for execution in listed_executions(client, function, qualifier=qualifier, statuses=statuses):
        arn = execution["DurableExecutionArn"]
        yield Source(arn, partial(load_execution, client, arn))


def listed_executions(client: Any, function: str, *, qualifier: str | None, statuses: Sequence[str]) -> Iterator[Wire]:
    """List a function's executions as the API gives them, page by page.

    Raises:
        Exception: The client's error when it cannot list the executions.
    """
    more: dict[str, Any] = {"Qualifier": qualifier} if qualifier else {}
    call = client.list_durable_executions_by_function
    for page in pages(call, "DurableExecutions", FunctionName=function, Statuses=list(statuses), **more):
        yield from page


def load_execution(client: Any, arn: str) -> RecordedExecution:
    """Load one execution, turning any error into one that affects only its own report.

    Raises:
        UnreadableHistoryError: The client could not read the history.
    """
    try:
        return fetch_history(client, arn)
    except Exception as error:
        problem = reading_problem(error, "GetDurableExecutionHistory")
        raise UnreadableHistoryError(f"cannot read its history: {problem}") from error


def fetch_history(client: Any, arn: str) -> RecordedExecution:
    """Fetch a recorded execution through the API, including payloads."""
    options = {"DurableExecutionArn": arn, "IncludeExecutionData": True, "MaxItems": PAGE}
    found = pages(client.get_durable_execution_history, "Events", **options)
    return read_history([event for page in found for event in page], arn=arn)


DEFAULT_STATES = 300
STEADY = frozenset({"InvocationCompleted", "ExecutionStarted"})
"""Events that do not change an operation."""


def replay_every_prefix(
    handler: Any,
    execution: RecordedExecution,
    *,
    source: str | None = None,
    states: int = DEFAULT_STATES,
    seconds: float = 120.0,
) -> ReplayReport:
    """Replay the whole recording, then each of its earlier states.

    Args:
        handler: A handler made with `@durable_execution`.
        execution: The recording.
        source: The recording's name in the report.
        states: Maximum number of states; if there are more, an even sample is replayed.
        seconds: Time limit for all replays together.

    Returns:
        The report of the whole recording, with the differences that appear only in some states.
    """
    deadline = time.monotonic() + seconds
    whole = Replayer(handler, seconds=seconds).replay(execution, source=source)
    cuts = cut_points(execution, states)
    found = {(one.kind, one.path): one for one in whole.divergences}
    extra: list[Divergence] = []
    worst, error, replayed = whole.verdict, whole.error, 0
    for cut in cuts:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        replayed += 1
        state = state_at(execution, cut)
        report = Replayer(handler, seconds=left, inside=False, cause=False).replay(state, source=source)
        if any((one.kind, one.path) not in found for one in report.roots):  # a known one has its cause
            report = Replayer(handler, seconds=left, inside=False).replay(state, source=source)
        for one in report.roots:
            if (one.kind, one.path) not in found:
                found[one.kind, one.path] = one
                extra.append(replace(one, likely=f"only when suspended after event {cut}: {one.likely}"))
        if report.verdict is Verdict.FAILED and execution.status == "FAILED" and not report.roots:
            continue  # it fails past the end of this state, as recorded
        if worst is Verdict.SAME and report.verdict is not Verdict.SAME:
            worst, error = report.verdict, f"after event {cut}: {report.error}" if report.error else None
    notes = _notes(replayed, len(cuts), len(execution.events))
    is_diverged = any(one.severity is not Severity.INFO for one in extra)
    return replace(
        whole,
        divergences=(*whole.divergences, *extra),
        verdict=Verdict.DIVERGED if is_diverged and worst is not Verdict.STUCK else worst,
        error=error,
        replays=whole.replays + replayed,
        notes=(*whole.notes, *notes),
    )


def cut_points(execution: RecordedExecution, most: int) -> list[int]:
    """Return at most `most` EventIds after which an operation had changed, without the last event."""
    numbered = [(event.get("EventId", number), event) for number, event in enumerate(execution.events, start=1)]
    changes = [number for number, event in numbered[:-1] if event.get("EventType") not in STEADY]
    if len(changes) <= most:
        return changes
    return sorted({changes[round(index * (len(changes) - 1) / (most - 1))] for index in range(most)})


def _notes(replayed: int, cuts: int, events: int) -> Sequence[str]:
    notes = [f"replayed {counted(replayed, 'earlier state')}"]
    if replayed < cuts:
        notes.append(f"the time limit ended before {counted(cuts - replayed, 'more state')} could be replayed")
    if cuts < events - 1:
        notes[0] += f" (of {counted(events, 'event')})"
    return notes
