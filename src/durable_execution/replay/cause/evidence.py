"""Finds the cause of a difference by evidence, best first: reproduced, observed, possible.

See `durable_execution.divergence.Evidence` for what each kind of evidence means, `reproduction` for the replays that are compared
and `dependence` for what a call depends on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product

from durable_execution.divergence import Cause, Divergence, DivergenceKind, Evidence
from durable_execution.replay.cause.dependence import Dependences, outlives_the_execution
from durable_execution.replay.cause.edits import cause_by_edit, edited_lines, is_unedited
from durable_execution.replay.cause.explained import applied, explained_as_unedited
from durable_execution.replay.cause.origin import BY_SUSPECT, cause_of, is_at
from durable_execution.replay.cause.reproduction import Reproduction, Variant, reproduced
from durable_execution.replay.cause.sliced import Decision, Origin
from durable_execution.replay.cause.value_sources import Source, dependence_of
from durable_execution.replay.lines.line_recording import LineRecording
from durable_execution.replay.report import roots_of
from durable_execution.replay.source.statements import read_again
from durable_execution.replay.suspects import Suspect
from durable_execution.trace.sources import RecordedSource

SECONDS = 10.0
"""Most time that the search for one cause takes."""

AT_RECORDED_TIME = "recorded time"
INNER_SIGNS = ("#", "/")
"""What follows the path of a context in the path of a call in it."""

NEVER_OBSERVED = frozenset({Source.GENERATOR, Source.STATE, Source.IMPORT, Source.DEFAULT, Source.OTHER})
"""Sources that one replay cannot show."""

CHANCE = frozenset({Source.CLOCK, Source.RANDOM, Source.UUID})
"""Sources that differ in every replay, even where they decide nothing."""

IN_EVERY_REPLAY = frozenset({Source.RANDOM, Source.UUID})
"""Sources that differ between two replays in one process, too."""

GIVEN = frozenset({DivergenceKind.INPUT, DivergenceKind.CONFIGURATION})
"""Differences of what a call is given: the calls are the recorded ones."""

OF_PROCESSES = frozenset({Source.ORDER, Source.HASH, Source.ZONE, Source.LOCALE})
"""Sources that differ between processes, also at the same time."""


@dataclass
class CauseSearch:
    """The search for the cause of a report's first difference.

    Attributes:
        replays: Replays of today's code, some at a time; the next are made only if those before show no cause.
        suspects: What was observed while the code ran.
        sources: The recorded source, by path; empty where no replay trace has them.
        whole: Records replays again, with the values that they leave out.
        is_steady: Whether the calls are the same everywhere with the same clock and random numbers.
        variants: The replays that were made and recorded by line.
        names: The names of all replays that were made.
    """

    replays: Iterable[list[Variant]]
    suspects: Sequence[Suspect]
    sources: Mapping[str, RecordedSource] = field(default_factory=dict)
    whole: Callable[[Sequence[Variant]], list[Variant]] = list
    is_steady: Callable[[], bool] = lambda: True
    variants: list[Variant] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    _reported: frozenset[str] = frozenset()

    def explain(self, divergences: Sequence[Divergence]) -> list[Divergence]:
        """Return the differences, with the cause of the first that breaks or changes the execution."""
        roots = roots_of(divergences)
        if not roots:
            return list(divergences)
        read_again()
        self._reported = frozenset(id_ for one in divergences for id_ in _ids(one))
        found = Reproduction()
        for variants in self.replays:
            known = {one.name: one for one in (*self.variants, *variants) if one.has_lines}
            self.variants = list(known.values())
            self.names += [one.name for one in variants]
            found = self._reproduced(roots)
            if found.is_clear:
                break
        target = self._target(roots)
        cause = self._apart_from_chance(found, roots) or found.cause or self._in_one_replay(roots)
        explained = [
            self._explained(one, cause if one is target else None, is_target=one is target) for one in divergences
        ]
        same = self._of_same_edit(target, cause, roots) if cause is not None else []
        if not same:
            return explained
        more = sum(1 + one.follow_on for one in same)
        return [
            replace(new, follow_on=new.follow_on + more)
            if one is target
            else replace(new, is_root=new.is_root and all(one is not each for each in same))
            for one, new in zip(divergences, explained, strict=True)
        ]

    def _of_same_edit(self, target: Divergence, cause: Cause, roots: Sequence[Divergence]) -> list[Divergence]:
        """Return the other differences that an edit makes: calls given a different value that depends on no other edited line."""
        others = [one for one in roots if one is not target and one.kind in GIVEN and target.kind in GIVEN]
        if not others or cause.evidence is not Evidence.CHANGED or not self.variants:
            return []
        edited = edited_lines(self.variants[0].lines, self.sources)
        own = edited & self._lines_before(target)
        if (cause.file, cause.line) not in own:
            return []
        found = [(one, edited & self._lines_before(one)) for one in others]
        return [one for one, lines in found if (cause.file, cause.line) in lines <= own]

    def _lines_before(self, divergence: Divergence) -> set[tuple[str, int]]:
        """File and line of the statements that a call depends on, its own among them; none where the replay does not make it."""
        made = next((id_ for id_ in _ids(divergence) if self.variants[0].lines.operation(id_) is not None), None)
        if made is None:
            return set()
        origins = self._followed(lambda lines: Dependences.of_call(lines, made)).origins
        return {(one.file, line) for one, _ in origins for line in range(one.statement.first, one.statement.last + 1)}

    def _reproduced(self, roots: Sequence[Divergence]) -> Reproduction:
        found = reproduced(self.variants, self._target(roots), self._operation(roots), self.suspects)
        if found.is_short:
            self.variants = self.whole(self.variants)
            found = reproduced(self.variants, self._target(roots), self._operation(roots), self.suspects)
        return found

    def _apart_from_chance(self, found: Reproduction, roots: Sequence[Divergence]) -> Cause | None:
        """Return the cause that is left where replays differ with the same clock and random numbers, too.

        An object that code only iterates over may hold a time of its own, which differs in every replay and decides nothing.
        """
        operation_id = self._operation(roots) if found.source in CHANCE else None
        if operation_id is None or self._varies_in_one_place():
            return None
        origins = self._followed(lambda lines: Dependences.of_call(lines, operation_id)).origins
        own = [one for one in origins if one[0].kept is None]
        for differs, (origin, decision) in product((False, True), own):
            known = dependence_of(origin.statement, origin.reads, origin.file, differs=differs)
            if known is not None and known.source in OF_PROCESSES and not self.is_steady():
                return cause_of(origin, decision, Evidence.OBSERVED, ())
        return None

    def _varies_in_one_place(self) -> bool:
        """Whether two replays in one process part: they have the same hash seed, zone and locale."""
        pairs = combinations(self.variants, 2)
        return any(one.place == other.place and one.parts_from(other) for one, other in pairs)

    def _followed(self, follow: Callable[[LineRecording], Dependences]) -> Dependences:
        """Follow what one replay shows, in a recording with all values where those are needed."""
        found = follow(self.variants[0].lines)
        if found.side.is_short:
            self.variants[:1] = self.whole(self.variants[:1])
            found = follow(self.variants[0].lines)
        return found

    def _explained(self, divergence: Divergence, cause: Cause | None, *, is_target: bool) -> Divergence:
        """Apply the cause that was found, or the one that the source suggests, unless the replays refute it."""
        guess = divergence.cause
        is_refuted = guess is not None and is_target and self._has_looked() and not guess.is_from_source
        found = replace(divergence, cause=cause) if cause is not None or is_refuted else divergence
        if found.cause is None and is_target and self.variants:
            is_same_code = is_unedited(found, self.sources, self.variants[0].lines)
            return explained_as_unedited(found) if is_same_code else applied(found)
        return applied(found)

    def _has_looked(self) -> bool:
        """Whether the call was followed back in a replay, so what it does not depend on cannot be the cause."""
        id_ = self._diverged()
        has_lines = id_ is not None and bool(self.variants)
        return has_lines and bool(self._followed(lambda lines: Dependences.of_call(lines, id_ or "")).origins)

    def _diverged(self) -> str | None:
        return next((one.diverged for one in self.variants if one.diverged is not None), None)

    def _target(self, roots: Sequence[Divergence]) -> Divergence:
        id_ = self._diverged()
        own = next((one for one in roots if id_ is not None and id_ in _ids(one)), None)
        return own or next((one for one in roots if self._is_shown_inside(one)), roots[0])

    def _is_shown_inside(self, divergence: Divergence) -> bool:
        """Whether replays part at a call in the context that differs: items in a different order make different calls."""
        diverged, ids = self._diverged(), _ids(divergence)
        if diverged is None or not ids:
            return False
        inside = tuple(f"{divergence.path}{sign}" for sign in INNER_SIGNS)
        is_inside = any(one.calls.get(diverged, "").startswith(inside) for one in self.variants)
        first, *others = self.variants
        return is_inside and all(one.calls.get(id_) == first.calls.get(id_) for one in others for id_ in ids)

    def _operation(self, roots: Sequence[Divergence]) -> str | None:
        """Return the id of the call to explain.

        The replays show other differences, too: where they go as recorded at the first one, they end at a later one. Where calls
        come in a different order, they end at one before the call that moved.
        """
        target, diverged = self._target(roots), self._diverged()
        own = _ids(target)
        if diverged in own or self._is_shown_inside(target):
            return diverged
        if target.kind is DivergenceKind.OUTCOME:
            return None
        if not own:
            return diverged
        made = next((id_ for id_ in own if any(id_ in variant.calls for variant in self.variants)), None)
        return made or (diverged if diverged in self._reported else None)

    def _in_one_replay(self, roots: Sequence[Divergence]) -> Cause | None:
        operation_id = self._operation(roots)
        if not self.variants:
            return None
        if operation_id is None:
            return self._of_outcome(self._target(roots))
        return self._depends_on(operation_id, self._target(roots))

    def _of_outcome(self, target: Divergence) -> Cause | None:
        """Return what the error depends on that the handler raised, or the last edited line that ran."""
        if target.kind is not DivergenceKind.OUTCOME:
            return None
        found = self._followed(Dependences.of_error).origins if self.variants[0].has_failed else ()
        skipped = _skipped(found)
        if skipped is not None or not self.sources:
            return skipped
        related = {(origin.file, origin.line) for origin, _ in found}
        return cause_by_edit(target, self.variants[0].lines, self.sources, None, related)

    def _depends_on(self, operation_id: str, target: Divergence) -> Cause | None:
        """Return the nearest source that the call depends on, or the nearest value that is older than the replay."""
        found = self._followed(lambda lines: Dependences.of_call(lines, operation_id)).origins
        for is_chance, (origin, decision) in product((False, True), found):
            cause = self._observed(origin, decision, is_chance=is_chance)
            if cause is not None:
                return cause
        related = {(origin.file, origin.line) for origin, _ in found}
        edited = (
            cause_by_edit(target, self.variants[0].lines, self.sources, operation_id, related) if self.sources else None
        )
        if edited is not None:
            return edited
        if any(origin.is_skipped for origin, _ in found):
            return _skipped(found)
        raced = next((one for one in found if one[0].is_concurrent), None)
        if raced is not None:
            return cause_of(*raced, Evidence.POSSIBLE)
        older = next(((origin, decision) for origin, decision in found if outlives_the_execution(origin)), None)
        return cause_of(*older, Evidence.POSSIBLE) if older is not None else None

    def _observed(self, origin: Origin, decision: Decision | None, *, is_chance: bool) -> Cause | None:
        """Return the source that a statement reads. What differs in every replay counts last: no replay went differently."""
        if origin.kept is not None or origin.is_skipped:
            return None
        seen = [one for one in self.suspects if is_at(one, origin.file, origin.statement) and one.kind in BY_SUSPECT]
        sources = {BY_SUSPECT[one.kind] for one in seen}
        if not sources:
            found = dependence_of(origin.statement, origin.reads, origin.file, differs=False)
            sources = {found.source} if found is not None else set()
        if not sources or sources <= NEVER_OBSERVED or (sources == {Source.CLOCK} and self._is_clock_refuted()):
            return None
        if (sources <= IN_EVERY_REPLAY) is not is_chance:
            return None
        return cause_of(origin, decision, Evidence.OBSERVED, seen)

    def _is_clock_refuted(self) -> bool:
        """Whether the call was the same at the recorded time: then the clock did not make the difference."""
        return any(AT_RECORDED_TIME in name for name in self.names)


def _ids(divergence: Divergence) -> list[str]:
    """Return the ids of the call that was made and of the recorded one, as far as there are such."""
    return [side.id for side in (divergence.replayed, divergence.recorded) if side is not None and side.id]


def _skipped(found: Sequence[tuple[Origin, Decision | None]]) -> Cause | None:
    nearest = next((one for one in found if one[0].is_skipped), None)
    return cause_of(*nearest, Evidence.OBSERVED) if nearest is not None else None
