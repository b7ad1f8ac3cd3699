"""Finds the cause of a difference by evidence, best first: reproduced, observed, possible.

See `durable_execution.divergence.Evidence` for what each kind of evidence means, `reproduction` for the replays that are compared
and `dependence` for what a call depends on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from durable_execution.divergence import Cause, Divergence, DivergenceKind, Evidence, Severity
from durable_execution.replay.dependence import Dependences
from durable_execution.replay.origin import BY_SUSPECT, Source, cause_of, dependence_of, is_at
from durable_execution.replay.reproduction import Variant, reproduced
from durable_execution.replay.slicing import Decision, Origin
from durable_execution.replay.suspects import Suspect

SECONDS = 10.0
"""Most time that the search for one cause takes."""

AT_RECORDED_TIME = "recorded time"
NEVER_OBSERVED = frozenset({Source.GENERATOR, Source.STATE, Source.IMPORT, Source.DEFAULT, Source.OTHER})
"""Sources that one replay cannot show."""


@dataclass
class CauseSearch:
    """The search for the cause of a report's first difference.

    Attributes:
        replays: Replays of today's code, some at a time; the next are made only if those before show no cause.
        suspects: What was observed while the code ran.
        variants: The replays that were made.
    """

    replays: Iterable[list[Variant]]
    suspects: Sequence[Suspect]
    variants: list[Variant] = field(default_factory=list)

    def explain(self, divergences: Sequence[Divergence]) -> list[Divergence]:
        """Return the differences, with the cause of the first that breaks or changes the execution."""
        roots = [one for one in divergences if one.is_root and one.severity is not Severity.INFO]
        if not roots:
            return list(divergences)
        found: tuple[Cause, bool] | None = None
        for variants in self.replays:
            self.variants += variants
            found = reproduced(self.variants, self._target(roots), self._operation(roots), self.suspects)
            if found is not None and found[1]:
                break
        target = self._target(roots)
        cause = found[0] if found is not None else self._in_one_replay(roots)
        return [with_cause(one, cause) if one is target and cause is not None else one for one in divergences]

    def _diverged(self) -> str | None:
        return next((one.diverged for one in self.variants if one.diverged is not None), None)

    def _target(self, roots: Sequence[Divergence]) -> Divergence:
        id_ = self._diverged()
        for one in roots:
            if id_ is not None and id_ in {side.id for side in (one.recorded, one.replayed) if side is not None}:
                return one
        return roots[0]

    def _operation(self, roots: Sequence[Divergence]) -> str | None:
        target = self._target(roots)
        id_ = self._diverged()
        if id_ is None and target.kind is not DivergenceKind.OUTCOME and target.replayed is not None:
            return target.replayed.id
        return id_

    def _in_one_replay(self, roots: Sequence[Divergence]) -> Cause | None:
        operation_id = self._operation(roots)
        if not self.variants or operation_id is None:
            return None
        return self._depends_on(self.variants[0], operation_id)

    def _depends_on(self, variant: Variant, operation_id: str) -> Cause | None:
        """Return the nearest source that the call depends on, or the nearest value that is older than the replay."""
        found = Dependences.of_call(variant.lines, operation_id).origins
        for judge in (self._observed, _possible):
            for origin, decision in found:
                cause = judge(origin, decision)
                if cause is not None:
                    return cause
        return None

    def _observed(self, origin: Origin, decision: Decision | None) -> Cause | None:
        if origin.kept is not None:
            return None
        seen = [one for one in self.suspects if is_at(one, origin.file, origin.statement) and one.kind in BY_SUSPECT]
        sources = {BY_SUSPECT[one.kind] for one in seen}
        if not sources:
            found = dependence_of(origin.statement, origin.reads)
            sources = {found.source} if found is not None else set()
        if not sources or sources <= NEVER_OBSERVED or (sources == {Source.CLOCK} and self._is_clock_refuted()):
            return None
        return cause_of(origin, decision, Evidence.OBSERVED, seen)

    def _is_clock_refuted(self) -> bool:
        """Whether the call was the same at the recorded time: then the clock did not make the difference."""
        return any(AT_RECORDED_TIME in one.name for one in self.variants)


def _possible(origin: Origin, decision: Decision | None) -> Cause | None:
    if origin.kept is None or origin.statement.function is None:
        return None
    return cause_of(origin, decision, Evidence.POSSIBLE)


def with_cause(divergence: Divergence, cause: Cause) -> Divergence:
    """Return the difference with its cause, and the fix that follows from it."""
    is_known = cause.evidence in (Evidence.REPRODUCED, Evidence.OBSERVED)
    return replace(divergence, cause=cause, likely=str(cause), fix=cause.fix if is_known else divergence.fix)
