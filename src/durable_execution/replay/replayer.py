"""`Replayer`: a recorded execution and a handler in, a report out."""

import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from durable_execution.comparison.call_tree import CallNode, is_same_json, tree_of
from durable_execution.comparison.comparison import Comparison, compare, not_restated
from durable_execution.comparison.relocation import with_moves_inside
from durable_execution.comparison.wording import VARIED
from durable_execution.counts import counted, plural
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side, readable, readable_pair
from durable_execution.errors import OperationError
from durable_execution.history.reading import execution_of_traces, read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import ErrorObject, OperationStatus, OperationType
from durable_execution.protocol.ids import root_path
from durable_execution.redaction import redacted
from durable_execution.replay.explore import Exploration, explore
from durable_execution.replay.recorded_state import RecordedState, contexts_around, contexts_to_open, missing_data
from durable_execution.replay.replayed_tree import (
    TERMINAL,
    depends_on_place,
    last_name,
    outcome_difference,
    outcome_of,
    outcome_sentences,
    raise_site,
    result_of,
    rooted_at,
    tree_of_run,
    with_names,
)
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.replay.run import ReplayRun, handler_parts
from durable_execution.replay.suspects import VARYING, Suspect, SuspectKind, is_user_frame
from durable_execution.trace.schema import InvocationTrace

DEFAULT_SECONDS = 30.0
MORE_DRAWS = 3
"""How often code that draws random numbers outside a step is replayed again while it goes as recorded."""

MAX_RESULT_SHOWN = 80
MAX_ERROR_SHOWN = 400
ENDED = frozenset(status.value for status in OperationStatus if status.is_terminal)
PRETENDED = frozenset({SuspectKind.FILE, SuspectKind.NETWORK, SuspectKind.PROCESS})
HISTORY_CURE = "export the history with --include-execution-data"
TRACE_CURE = (
    "a replay trace contains the input and results only if recorded with DURABLE_REPLAY_TRACE_PAYLOADS=1, and never redacted "
    "values: replay it together with its history"
)
UNREAD_CURE = (
    "Replay where the handler's serializer finds its stored payloads and keys. Replays have no network: copy objects from a bucket "
    "into a directory, and give the serializer a DirectoryStore of it"
)
__all__ = ["CallNode", "Replayer", "state_at"]


@dataclass(frozen=True, slots=True)
class Replayer:
    """Replays recordings against a handler, without side effects.

    Completed operations return their recorded results, failed ones raise their recorded errors. Step bodies never run; a
    branch ends where its recording ends. Orchestration code cannot use the network or AWS credentials, or write files.

    Example:
        ```python
        report = Replayer(process_order).replay(json.loads(Path("order.history.json").read_text()))
        assert report.is_same, report.root
        ```

    Attributes:
        handler: A handler made with `@durable_execution`.
        seconds: Time limit for the replays of one recording.
        inside: Whether finished contexts are checked as well, although a resumed execution would skip them.
        cause: Whether to look for the line that makes the first difference: by two more replays that are recorded line by
            line.
        explains: Whether the explanation names the cause. A supervisor that looks for it itself does so later.
    """

    handler: Any
    seconds: float = DEFAULT_SECONDS
    inside: bool = True
    cause: bool = True
    explains: bool = True

    def replay(
        self,
        recording: RecordedExecution | Sequence[InvocationTrace] | Iterable[Any] | Mapping[str, Any],
        *,
        until_event: int | None = None,
        source: str | None = None,
    ) -> ReplayReport:
        """Replay one recording.

        Args:
            recording: A recorded execution, the events of a history, or the replay traces of its invocations.
            until_event: Replay the state after this EventId instead of the whole recording.
            source: The recording's name in the report.

        Raises:
            UnreadableHistoryError: The recording is not a history.
            UnusableHandlerError: The handler is not durable.
        """
        execution = _read(recording)
        if until_event is not None:
            execution = state_at(execution, until_event)
        _, name = handler_parts(self.handler)
        return _Replay(self, execution, name).report(source or execution.arn or execution.name or "recording")


def _read(recording: Any) -> RecordedExecution:
    if isinstance(recording, RecordedExecution):
        return recording
    if isinstance(recording, Sequence) and recording and all(isinstance(one, InvocationTrace) for one in recording):
        return execution_of_traces(recording)
    return read_history(recording)


def state_at(execution: RecordedExecution, event_id: int) -> RecordedExecution:
    """Return the recording as it stood after one of its events."""
    kept = [event for number, event in enumerate(execution.events, start=1) if event.get("EventId", number) <= event_id]
    cut = read_history(kept, arn=execution.arn, traces=execution.traces)
    return replace(cut, is_from_trace=execution.is_from_trace)


class _Replay:
    """Turns one recording into a report."""

    def __init__(self, replayer: Replayer, execution: RecordedExecution, name: str) -> None:
        self._replayer = replayer
        self._execution = rooted_at(execution, name)
        self._name = name
        self._deadline = time.monotonic() + replayer.seconds
        self._replays = 0
        self._notes: list[str] = list(execution.notes)
        self._suspects: list[Suspect] = []
        self._pretends = False
        self._beyond: ReplayRun | None = None

    def report(self, source: str) -> ReplayReport:
        explored, compared, divergences = self._attempt()
        for _ in range(MORE_DRAWS):
            if divergences or explored.first.is_timed_out or not self._draws_by_chance() or self._is_late():
                break
            explored, compared, divergences = self._attempt()
        first = explored.first
        suspects = tuple(self._suspects)
        divergences = self._with_causes(divergences, first) if divergences else []
        effects = tuple(suspect for suspect in suspects if suspect.is_blocked)
        self._note_limits(first)
        return ReplayReport(
            source=source,
            handler=self._name,
            verdict=self._verdict(explored, divergences, effects),
            divergences=tuple(divergences),
            rows=compared.rows,
            suspects=suspects,
            effects=effects,
            outcome=outcome_of(first),
            error=redacted(self._error(first) or "") or None,
            calls=len(first.collector.calls),
            ends=tuple(_ends(first)),
            notes=tuple(self._notes),
            replays=self._replays,
            isolation=("audit hook",),
            execution=self._execution,
        )

    def _attempt(self) -> tuple[Exploration, Comparison, list[Divergence]]:
        """Replay once, inside finished contexts too, and compare."""
        self._notes = list(self._execution.notes)
        self._pretends, self._beyond = False, None
        explored = self._explore(frozenset())
        first = explored.first
        self._execution = with_names(self._execution, first)
        compared = self._compare(explored)
        compared = self._beyond_effects(first) or compared
        divergences = self._judged([self._as_kept(one) for one in compared.divergences], first)
        if self._replayer.inside and not first.is_timed_out:
            inside = self._inside(divergences)
            if self._is_uncertain(first):
                inside = [replace(one, severity=Severity.INFO) for one in inside]
            divergences = not_restated(with_moves_inside(divergences, inside))
        divergences += self._outcome(explored, divergences)
        return explored, compared, [one for each in divergences for one in self._as_given(each, first)]

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _draws_by_chance(self) -> bool:
        """Whether a replay that goes as recorded shows little: the next one may draw different numbers."""
        return any(one.kind is SuspectKind.RANDOM for one in self._suspects)

    def _beyond_effects(self, first: ReplayRun) -> Comparison | None:
        """Compare the calls behind a refused side effect: replay as if the effect had succeeded."""
        if not _is_refused(first) or first.is_timed_out:
            return None
        self._pretends = True
        found = self._explore(frozenset())
        self._beyond = found.first
        if len(found.last.collector.calls) < len(first.collector.calls):
            return None
        return self._compare(found)

    def _note_limits(self, run: ReplayRun) -> None:
        """Say what was not compared, or what the recording does not contain yet."""
        error = run.collector.exception
        if self._beyond is not None and not self._beyond.is_blocked:
            self._notes.append("the calls after a refused side effect were compared as if it had succeeded")
        elif run.is_blocked:
            self._notes.append("the refused side effect ended the handler, so the calls after it were not compared")
        elif error is not None and run.has_failed and self._is_about_to_fail(run):
            self._notes.append(
                f"the handler raises {type(error).__name__} for the recorded failure of {readable(getattr(error, 'operation', None) or 'an operation')}, so the execution "
                "fails when it resumes"
            )

    def _is_about_to_fail(self, run: ReplayRun) -> bool:
        """Whether the handler of a running execution raises the recorded failure of an operation."""
        error = run.collector.exception
        if self._execution.status in TERMINAL or not isinstance(error, OperationError):
            return False
        call = run.collector.calls.get(error.operation_id or "")
        return call is not None and call.is_recorded and not call.is_entered

    def _with_causes(self, divergences: list[Divergence], first: ReplayRun) -> list[Divergence]:
        """Explain the differences; what finds causes is loaded here, because most replays find no difference."""
        from durable_execution.replay.cause.explained import applied
        from durable_execution.replay.cause.observed_cause import findings_for, with_lost_class, with_suspects

        handler, recording = self._replayer.handler, self._execution
        seen = tuple(self._suspects), findings_for(handler.function)
        found = [with_suspects(one, *seen) if one.is_root else one for one in divergences]
        found = [with_lost_class(one, first, recording) if one.is_root else one for one in found]
        if not self._replayer.cause or first.is_timed_out or self._is_late():
            return [*map(applied, found)] if self._replayer.explains or self._replayer.cause else found
        from durable_execution.replay.cause.edits import recorded_sources
        from durable_execution.replay.cause.evidence import SECONDS, CauseSearch
        from durable_execution.replay.cause.reproduction import variants_here

        seconds, opened = min(SECONDS, self._deadline - time.monotonic()), contexts_to_open(found, recording)
        replays = list(variants_here(handler, recording, seconds=seconds, opened=opened))
        return CauseSearch([replays], self._suspects, recorded_sources(recording)).explain(found)

    def _explore(self, opened: frozenset[str] | None) -> Exploration:
        left = max(0.5, self._deadline - time.monotonic())
        state = RecordedState.of(self._execution, opened=opened)
        explored = explore(self._replayer.handler, state, seconds=left, pretends=self._pretends)
        self._replays += explored.replays
        known = {(one.kind, one.what, one.site) for one in self._suspects}
        refused = {(one.kind, one.site) for one in self._suspects if one.is_blocked}
        behind = () if explored.last is explored.first else (one for one in explored.last.suspects if one.is_blocked)
        for suspect in (*explored.first.suspects, *behind):
            is_known = self._pretends and suspect.is_blocked and (suspect.kind, suspect.site) in refused
            if (suspect.kind, suspect.what, suspect.site) not in known and not is_known:
                known.add((suspect.kind, suspect.what, suspect.site))
                self._suspects.append(suspect)
        return explored

    def _compare(self, explored: Exploration) -> Comparison:
        is_as_recorded = explored.last is explored.first and explored.state.opened == frozenset()
        is_resting = is_as_recorded and explored.first.is_resting
        found = self._compared(explored, is_resting=is_resting)
        if found.divergences or is_resting or not is_as_recorded or not explored.first.is_waiting:
            return found
        return self._compared(
            explored, is_resting=True
        )  # nothing is inserted, so a recorded call that is not made is gone

    def _compared(self, explored: Exploration, *, is_resting: bool) -> Comparison:
        replayed = tree_of_run(explored.last, explored.state, self._name, is_resting=is_resting)
        return compare(tree_of(self._execution), replayed, handler=self._name)

    def _judged(self, divergences: list[Divergence], run: ReplayRun) -> list[Divergence]:
        """Downgrade differences to information where missing recorded data may have caused them."""
        missing = missing_data(self._execution)
        if missing:
            cure = TRACE_CURE if self._execution.is_from_trace else HISTORY_CURE
            self._notes.append(
                f"{counted(missing, 'recorded payload')} {plural(missing, 'is', 'are')} missing, so code that depends on "
                f"{plural(missing, 'it', 'them')} was not checked; {cure}"
            )
        if run.has_guessed_arn:
            self._notes.append(
                "the recording does not contain the execution's ARN, which seeds ctx.random() and ctx.uuid(), so code that depends "
                'on them was not checked; add it to the file: {"DurableExecutionArn": ..., "Events": ...}'
            )
        if self._is_uncertain(run):
            return [replace(one, severity=Severity.INFO) for one in divergences]
        return divergences

    def _as_kept(self, divergence: Divergence) -> Divergence:
        """Say of a finished map or parallel in an open execution that that its recorded result is used."""
        recorded = divergence.recorded
        is_finished = recorded is not None and recorded.status in ENDED and self._execution.status not in TERMINAL
        if recorded is None or divergence.kind is not DivergenceKind.BRANCH_COUNT or not is_finished:
            return divergence
        effect = (
            f"this execution uses the recorded result of {recorded.short_name}, with the recorded branches; an execution that is still "
            "inside it would drop branches, or give their results to other items"
        )
        return replace(divergence, severity=Severity.WARNING, effect=effect)

    def _as_given(self, divergence: Divergence, run: ReplayRun) -> Iterator[Divergence]:
        """Do not blame the code for a changed argument that comes from missing data, or from a value that always changes."""
        recorded = divergence.recorded
        is_given = (
            divergence.kind is DivergenceKind.INPUT
            and recorded is not None
            and recorded.type != OperationType.CHAINED_INVOKE
        )
        if is_given and self._is_uncertain(run):
            return
        is_varying = is_given and any(suspect.kind in VARYING for suspect in self._suspects)
        yield replace(divergence, severity=Severity.INFO) if is_varying else divergence

    def _is_uncertain(self, run: ReplayRun) -> bool:
        """Whether the replay lacks data that the code had when it was recorded."""
        return bool(missing_data(self._execution)) or run.has_guessed_arn or bool(run.unread)

    def _inside(self, found: list[Divergence]) -> list[Divergence]:
        """Find differences inside finished contexts, confirmed by a replay that opens only those contexts."""
        ended = {
            operation.id: operation
            for operation in self._execution.operations
            if operation.type is OperationType.CONTEXT and operation.status.is_terminal
        }
        if not ended or self._is_late():
            return []
        known = {(one.kind, one.path) for one in found}
        explored = self._explore(None)
        if not self._pretends and _is_refused(explored.first):
            self._pretends = True
            explored = self._explore(None)
        within = self._within(self._compare(explored), ended.keys(), known)
        if not within:
            return []
        needed = frozenset(id_ for one in within for id_ in contexts_around(one, self._execution))
        again: list[Divergence] = []
        for _ in range(1 + MORE_DRAWS):  # code that decides by chance may go as recorded this time
            again = self._within(self._compare(self._explore(needed)), ended.keys(), known)
            if again or self._is_late():
                break
        is_over = self._execution.status in TERMINAL
        return again if is_over else [_harmless(one) for one in again]

    def _within(
        self, compared: Comparison, ended: Iterable[str], known: set[tuple[DivergenceKind, str]]
    ) -> list[Divergence]:
        inside = set(ended)
        return [
            one
            for one in compared.divergences
            if (one.kind, one.path) not in known and inside & set(contexts_around(one, self._execution))
        ]

    def _outcome(self, explored: Exploration, found: list[Divergence]) -> list[Divergence]:
        run = explored.first
        if any(one.severity is Severity.ERROR for one in found) or run.is_timed_out or run.is_refused(self._beyond):
            return []
        if run.collector.diverged is not None and not found and not self._is_uncertain(run):
            return [replace(run.collector.diverged.divergence, likely=VARIED.likely, fix=VARIED.fix)]
        difference = outcome_difference(self._execution, run)
        if difference is None:
            return []
        kind, recorded, replayed, severity = difference
        is_uncertain = severity is Severity.WARNING and self._varies(run)
        if is_uncertain or self._is_uncertain(run):
            severity = Severity.INFO
        limit = MAX_RESULT_SHOWN if difference[3] is Severity.WARNING else MAX_ERROR_SHOWN
        before, after = readable_pair(recorded, replayed, limit=limit)
        left = Side(
            OperationType.EXECUTION.value,
            name=self._name,
            detail=before,
            status=self._execution.status,
            value=recorded if before != recorded else None,
        )
        error = run.collector.exception if run.has_failed else None
        site = raise_site(error) if error is not None else None
        right = Side(
            OperationType.EXECUTION.value,
            name=self._name,
            detail=after,
            call_site=site,
            value=replayed if after != replayed else None,
        )
        path = root_path(self._name)
        return [
            Divergence(
                kind=kind,
                severity=severity,
                handler=self._name,
                path=path,
                context_path=path,
                position=None,
                recorded=left,
                replayed=right,
                **outcome_sentences(kind, left, right, self._execution, run),
            )
        ]

    def _varies(self, first: ReplayRun) -> bool:
        """Whether the outcome differs between replays, or may depend on where it is replayed."""
        if not any(suspect.kind in VARYING for suspect in first.suspects):
            return False
        again = self._explore(frozenset()).first
        return not is_same_json(result_of(first), result_of(again)) or depends_on_place(first.suspects)

    def _verdict(self, explored: Exploration, divergences: Sequence[Divergence], effects: Sequence[Suspect]) -> Verdict:
        if any(one.is_root and one.severity is not Severity.INFO for one in divergences):
            is_failure = all(
                one.kind is DivergenceKind.OUTCOME and one.severity is Severity.ERROR
                for one in divergences
                if one.severity is not Severity.INFO
            )
            return _failure(explored.first) if is_failure else Verdict.DIVERGED
        if explored.first.is_timed_out:
            return Verdict.STUCK
        if explored.first.unread:
            return Verdict.UNREADABLE
        if effects:
            return Verdict.EFFECTS
        if self._failed(explored.first):
            return _failure(explored.first)
        return Verdict.UNREADABLE if self._cannot_tell(explored.first) else Verdict.SAME

    def _failed(self, run: ReplayRun) -> bool:
        if self._is_uncertain(run):
            return False
        if run.error is not None:
            return True
        if outcome_of(run) != "FAILED" or self._execution.status in ("FAILED", "STOPPED", "TIMED_OUT"):
            return False
        return not self._is_about_to_fail(run)

    def _cannot_tell(self, run: ReplayRun) -> bool:
        """Whether the code failed and missing recorded payloads may be the only reason."""
        return bool(missing_data(self._execution)) and run.has_failed and self._execution.status != "FAILED"

    def _error(self, run: ReplayRun) -> str | None:
        if run.is_timed_out:
            where = f" at {run.stuck_at}" if run.stuck_at else ""
            return (
                f"{self._name} did not finish within {self._replayer.seconds:g} s{where}: orchestration code may wait only "
                "for durable operations"
            )
        if run.unread:
            path, problem = next(iter(run.unread.items()))
            return f"the recorded result of {readable(path)} is not at hand, so the calls after it were not compared: {problem}. {UNREAD_CURE}"
        if isinstance(run.error, SystemExit):
            return (
                f"{self._name} called sys.exit({run.error.code!r}){_raised_at(run.error)}: on Lambda this ends the process, and "
                "the invocation fails and is retried. Return or raise an error"
            )
        if run.error is not None:
            return f"{type(run.error).__name__}: {run.error}"
        error = ErrorObject.from_wire((run.answer or {}).get("Error"))
        if error is None or run.collector.diverged is not None:
            return None
        if self._cannot_tell(run):
            made = len(run.collector.calls)
            return f"the code failed after {counted(made, 'call')}, possibly only because recorded payloads are missing: {error}"
        return str(error)


def _is_refused(run: ReplayRun) -> bool:
    """Whether a side effect was refused that can be made to seem to succeed."""
    return any(one.is_blocked and one.kind in PRETENDED for one in run.suspects)


def _harmless(divergence: Divergence) -> Divergence:
    effect = "none on this execution: the context has finished and does not run again; an execution still inside it would break"
    return replace(divergence, severity=Severity.INFO, effect=effect)


def _failure(run: ReplayRun) -> Verdict:
    """Return the verdict for a handler that failed."""
    if isinstance(run.error, SystemExit):
        return Verdict.EXITED
    kind = type(run.error).__name__ if run.error else ((run.answer or {}).get("Error") or {}).get("ErrorType")
    return {"MemoryError": Verdict.MEMORY, "RecursionError": Verdict.RECURSION}.get(last_name(kind), Verdict.FAILED)


def _raised_at(error: BaseException) -> str:
    """Return where user code raised an error: ` at file:line`."""
    frames = [one for one in traceback.walk_tb(error.__traceback__) if is_user_frame(one[0])]
    return f" at {frames[-1][0].f_code.co_filename}:{frames[-1][1]}" if frames else ""


def _ends(run: ReplayRun) -> list[str]:
    return [
        collected.call.path
        for collected in run.collector.calls.values()
        if not collected.is_recorded and not collected.is_entered
    ]
