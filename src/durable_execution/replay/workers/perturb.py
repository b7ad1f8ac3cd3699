"""Replays a recording under perturbations: a different hash seed, clock, time zone, random seed, environment or order.

Each perturbation runs in a worker of its own. Code whose calls differ there is nondeterministic, even if no replay has failed
yet. The unperturbed replay runs twice: what differs between those two varies by itself, and no perturbation is blamed for it.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Self

from durable_execution.comparison.wording import effect_of, fix_of_cause
from durable_execution.counts import counted
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side
from durable_execution.errors import DurableError
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol.ids import root_path
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.replay.surroundings import DAY, Surroundings, plausible_values
from durable_execution.replay.workers.cause_finder import CauseFinder
from durable_execution.replay.workers.supervisor import HandlerProcess, Task, WorkerOptions

FAILURES = frozenset({Verdict.FAILED, Verdict.EXITED, Verdict.KILLED, Verdict.MEMORY, Verdict.RECURSION})
JUDGED = frozenset({Verdict.SAME, Verdict.EFFECTS, Verdict.DIVERGED, Verdict.UNSTABLE})
MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One change to the environment of a replay.

    Attributes:
        name: The perturbation's name in reports.
        environ: Environment variables to set; None unsets one.
        clock_offset: Seconds by which the clock is ahead.
        random_seed: Seed for `random`, `uuid4` and `os.urandom`; equal in all perturbations that change something else.
        order_seed: Seed that shuffles the order in which recorded operations complete; None completes all at once.
        suspects: The likely cause when the calls differ.
        is_value: Whether it gives a variable an invented value.
    """

    name: str
    environ: Mapping[str, str | None] = field(default_factory=dict)
    clock_offset: int = 0
    random_seed: int = 0
    order_seed: int | None = None
    suspects: str = ""
    is_value: bool = False

    def surroundings(self) -> Surroundings:
        """Return what its process is started with."""
        return Surroundings(
            self.name,
            {"PYTHONHASHSEED": "0", **self.environ},
            clock_offset=self.clock_offset,
            random_seed=self.random_seed,
        )


PERTURBATIONS = (
    Perturbation("hash seed 1", {"PYTHONHASHSEED": "1"}, suspects="the order of a set, or hash()"),
    Perturbation("hash seed 2", {"PYTHONHASHSEED": "2"}, suspects="the order of a set, or hash()"),
    Perturbation("clock 12 hours ahead", clock_offset=DAY // 2, suspects="the clock"),
    Perturbation("clock 3 days ahead", clock_offset=3 * DAY + 5 * 3_600, suspects="the clock"),
    Perturbation("clock 200 days ahead", clock_offset=200 * DAY, suspects="the clock"),
    Perturbation("time zone +14", {"TZ": "Pacific/Kiritimati"}, suspects="the local time zone"),
    Perturbation("random seed 1", random_seed=1, suspects="random numbers or uuids"),
    Perturbation("random seed 2", random_seed=2, suspects="random numbers or uuids"),
    Perturbation("order of completion 1", order_seed=1, suspects="which of several operations completes first"),
    Perturbation("order of completion 2", order_seed=2, suspects="which of several operations completes first"),
)
BASE = Perturbation(
    "no perturbation", suspects="values that differ between two equal processes, such as id() or os.getpid()"
)


def environment_perturbations(
    variables: Mapping[str, str | None], members: Sequence[Sequence[str]] = ()
) -> list[Perturbation]:
    """Make perturbations for variables that the code reads: with other plausible values, and without each.

    Args:
        variables: The variables, with the text that is used where one is not set.
        members: Values that stand beside each other, such as those of an enum.
    """
    found: list[Perturbation] = []
    for name in sorted(variables):
        for value in plausible_values(os.environ.get(name), members, variables[name]):
            shown = "unset" if value is None else f"= {value!r:.40}"
            suspects = f"os.environ[{name!r}]"
            found.append(Perturbation(f"{name} {shown}", {name: value}, suspects=suspects, is_value=True))
    return found


class Perturber:
    """Replays the recordings of one check under perturbations.

    Args:
        options: How processes are isolated.
        finder: Finds the causes of what differs; None leaves them out.
        perturbations: The perturbations; those of the environment are added for the variables that the code reads.
    """

    def __init__(
        self,
        options: WorkerOptions,
        finder: CauseFinder | None = None,
        perturbations: Iterable[Perturbation] = PERTURBATIONS,
    ) -> None:
        self._options = replace(options, has_rows=True, is_every_prefix=False)
        self._finder = finder
        self._perturbations = tuple(perturbations)
        self._homes: dict[str, HandlerProcess] = {}
        self._reference = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process."""
        for home in self._homes.values():
            home.close()
        self._homes.clear()

    def perturb(self, report: ReplayReport, reference: str) -> ReplayReport:
        """Return a report completed with what differs under perturbations.

        Args:
            report: The report of the unperturbed replay.
            reference: `module:handler` or `file.py:handler`, for the processes to import.
        """
        execution = report.execution
        if execution is None or report.verdict not in JUDGED:
            return report
        if reference != self._reference:
            self.close()
            self._reference = reference
        base, again = self._replay(BASE, execution), self._replay(BASE, execution)
        if base is None or again is None:
            return replace(report, notes=(*report.notes, "the handler could not be replayed under perturbations"))
        if _calls(base) != _calls(again):
            return self._completed(report, [(BASE, _difference(base, again), again)], (), 0)
        others = (*self._perturbations, *self._environment(base))
        with ThreadPoolExecutor(max(1, self._options.jobs or os.cpu_count() or 1)) as pool:
            answers = list(pool.map(lambda one: self._replay(one, execution), others))
        found: list[tuple[Perturbation, Divergence | None, ReplayReport]] = []
        notes: list[str] = []
        for perturbation, answer in zip(others, answers, strict=True):
            if answer is None or (
                perturbation.is_value and answer.verdict in FAILURES and base.verdict not in FAILURES
            ):
                why = answer.error if answer is not None else "it cannot be imported"
                notes.append(f"with {perturbation.name}, the handler fails, perhaps only because of the value: {why}")
            elif (_calls(base), base.outcome) != (_calls(answer), answer.outcome) or answer.verdict is Verdict.UNSTABLE:
                found.append((perturbation, _difference(base, answer), answer))
        return self._completed(report, found, notes, len(others))

    def _environment(self, base: ReplayReport) -> list[Perturbation]:
        ready = self._homes[BASE.name].ready
        read = (one.what for one in base.suspects if one.kind == "environment" and one.what.startswith("os.environ["))
        variables: dict[str, str | None] = {what[12:-2]: None for what in read}
        return environment_perturbations({**variables, **ready.variables}, ready.members)

    def _replay(self, perturbation: Perturbation, execution: RecordedExecution) -> ReplayReport | None:
        """Replay in a process; None if the handler cannot be imported there, or does not answer."""
        try:
            home = self._homes.get(perturbation.name)
            if home is None:
                home = HandlerProcess(self._reference, self._options, perturbation.surroundings())
                self._homes[perturbation.name] = home
            process = home.fork()
            try:
                task = Task(0, perturbation.name, execution, self._reference)
                process.assign(task, self._options, order_seed=perturbation.order_seed)
                process.wait()
                return process.answer().report
            finally:
                process.end()
        except (DurableError, TimeoutError, OSError):
            return None

    def _completed(
        self,
        report: ReplayReport,
        found: Sequence[tuple[Perturbation, Divergence | None, ReplayReport]],
        notes: Sequence[str],
        number: int,
    ) -> ReplayReport:
        groups: dict[tuple[str, str], list[tuple[Perturbation, Divergence, ReplayReport]]] = {}
        for perturbation, divergence, answer in found:
            if divergence is not None:
                groups.setdefault((divergence.kind.value, divergence.path), []).append(
                    (perturbation, divergence, answer)
                )
        extra = [self._explained(report, group) for group in groups.values()]
        if not extra:
            text = f"behaves the same under {counted(number, 'perturbation')}"
            return replace(report, notes=(*report.notes, text, *notes))
        names = [perturbation.name for group in groups.values() for perturbation, *_ in group]
        text = f"behaves differently under {_listed(names)}"
        verdict = Verdict.UNSTABLE if report.verdict in (Verdict.SAME, Verdict.EFFECTS) else report.verdict
        return replace(
            report,
            verdict=verdict,
            divergences=(*report.divergences, *extra),
            error=report.error or text,
            notes=(*report.notes, *([text] if report.error else []), *notes),
        )

    def _explained(
        self, report: ReplayReport, group: Sequence[tuple[Perturbation, Divergence, ReplayReport]]
    ) -> Divergence:
        """Return the difference of some perturbations, with its cause and their names."""
        perturbation, divergence, answer = group[0]
        if self._finder is not None:
            alone = replace(answer, divergences=(divergence,), execution=report.execution)
            divergence = self._finder.explain(alone, self._reference).divergences[0]
        where = f"only with {_listed([one.name for one, *_ in group])}"
        cause = divergence.cause
        likely = str(cause) if cause is not None else f"look for {perturbation.suspects}"
        fix = divergence.fix if cause is not None else fix_of_cause(divergence.kind, None, divergence.replayed)
        return replace(divergence, likely=f"{where}: {likely}", fix=fix)


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MAX_SHOWN
    return ", ".join(names[:MAX_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _calls(report: ReplayReport) -> list[str]:
    return [f"{side.path} ({side.label})" for side in _sides(report)]


def _sides(report: ReplayReport) -> Iterator[Side]:
    return (row.replayed.side for row in report.rows if row.replayed is not None)


def _difference(base: ReplayReport, other: ReplayReport) -> Divergence | None:
    """Return the first difference from the recording that the unperturbed replay does not have, or else from that replay."""
    known = {(one.kind, one.path) for one in base.divergences}
    for one in other.roots:
        if (one.kind, one.path) not in known:
            return one
    left, right = list(_sides(base)), list(_sides(other))
    number = next(
        (n for n, (a, b) in enumerate(zip(left, right, strict=False)) if (a.path, a.label) != (b.path, b.label)), None
    )
    at = min(len(left), len(right)) if number is None else number
    ours, theirs = left[at] if at < len(left) else None, right[at] if at < len(right) else None
    if ours is None and theirs is None:
        return None
    kind = (
        DivergenceKind.INSERTED
        if ours is None
        else DivergenceKind.SKIPPED
        if theirs is None
        else DivergenceKind.RENAMED
    )
    path = (theirs or ours or left[0]).path or root_path(other.handler)
    return Divergence(
        kind=kind,
        severity=Severity.ERROR,
        handler=other.handler,
        path=path,
        context_path=path.rpartition("/")[0] or path,
        position=(theirs or ours or left[0]).position,
        recorded=ours,
        replayed=theirs,
        effect=effect_of(kind, ours, theirs),
        fix=fix_of_cause(kind, ours, theirs),
    )
