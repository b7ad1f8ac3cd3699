"""Names the likely cause of a difference: the suspect whose value decided the branch before it."""

import inspect
import linecache
from collections.abc import Callable, Sequence
from dataclasses import replace

from durable_execution.observers import CallSite
from durable_execution.replay.cause import decision_on
from durable_execution.replay.divergence import Divergence, DivergenceKind
from durable_execution.replayer.frames import base_name
from durable_execution.replayer.lint import RULES, LintFinding, lint_sources
from durable_execution.replayer.suspects import Suspect, SuspectKind

MAX_SHOWN = 5
UNSEEN = frozenset({"DUR104", "DUR109", "DUR110", "DUR202"})
"""Lint rules for causes that leave no trace at run time."""

VARYING = frozenset(
    {
        SuspectKind.CLOCK, SuspectKind.RANDOM, SuspectKind.UUID, SuspectKind.ENVIRONMENT, SuspectKind.FILE,
        SuspectKind.NETWORK, SuspectKind.PROCESS, SuspectKind.CONTEXT, SuspectKind.CREDENTIALS, SuspectKind.ORDER,
    }
)  # fmt: skip
"""Suspects whose value can differ between replays; a sleep or a thread has no value."""


def with_suspects(divergence: Divergence, suspects: Sequence[Suspect], findings: Sequence[LintFinding]) -> Divergence:
    """Return the difference with its likely cause.

    Args:
        divergence: The difference.
        suspects: Sources of nondeterminism observed while the code ran.
        findings: Lint findings in its source, for causes that cannot be observed, such as the order of a set.
    """
    ranked = _ranked(divergence, [suspect for suspect in suspects if suspect.kind in VARYING])
    finding = next((one for one in findings if _precedes(one, divergence)), None)
    if finding is not None and (not ranked or divergence.kind is DivergenceKind.REORDERED):
        where = f"{base_name(finding.file)}:{finding.line}"
        seen = tuple(str(suspect) for suspect in ranked[: MAX_SHOWN - 1])
        static = f"{where} {finding.what}: {RULES[finding.rule].name}"
        return replace(divergence, likely=static, suspects=(f"{where}: {finding.what}", *seen))
    if not ranked:
        return divergence
    likely = next((text for suspect in ranked if (text := _decided_by(divergence, suspect)) is not None), None)
    if likely is None and divergence.kind not in ("renamed", "changed_kind"):
        nearest = ranked[0]
        likely = f"perhaps {nearest.what}, called outside a step at {_place(nearest.site)}"
    shown = tuple(str(suspect) for suspect in ranked[:MAX_SHOWN])
    return replace(divergence, suspects=shown, likely=likely or divergence.likely)


def findings_for(function: Callable[..., object]) -> list[LintFinding]:
    """Lint the module of a handler for causes that cannot be observed at run time."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        return []
    source = "".join(linecache.getlines(file)) if file else ""
    return [one for one in lint_sources({file: source}) if one.rule in UNSEEN] if file and source else []


def _precedes(finding: LintFinding, divergence: Divergence) -> bool:
    """Whether a finding is in the function that makes the call, before the call."""
    site = divergence.replayed.call_site if divergence.replayed else None
    if site is None:
        return True
    return finding.file == site.file and finding.function == site.function and finding.line <= site.line


def _ranked(divergence: Divergence, suspects: list[Suspect]) -> list[Suspect]:
    """Rank suspects: those that decide a branch before the call first, then the most recent."""

    def rank(suspect: Suspect) -> tuple[bool, bool, int]:
        return _decided_by(divergence, suspect) is None, not _shares_function(divergence, suspect), -suspect.after

    return sorted(suspects, key=rank)


def _decided_by(divergence: Divergence, suspect: Suspect) -> str | None:
    site = divergence.replayed.call_site if divergence.replayed else None
    frame = _frame_in(site, suspect)
    if frame is None:
        return None
    source = "".join(linecache.getlines(frame.file))
    call_line = site.line if site is not None and site.file == frame.file else None
    decision = decision_on(source, value_line=frame.line, call_line=call_line)
    if decision is None:
        return None
    place = f"{base_name(frame.file)}:{decision.line}"
    return f"{place} {decision.word} on {suspect.what}, called outside a step at {_place(suspect.site)}"


def _frame_in(site: CallSite | None, suspect: Suspect) -> CallSite | None:
    """Return the suspect's frame in the function that makes the call; without a call, its outermost frame."""
    if site is None:
        return suspect.stack[-1]
    return next((frame for frame in suspect.stack if frame.file == site.file and frame.function == site.function), None)


def _shares_function(divergence: Divergence, suspect: Suspect) -> bool:
    site = divergence.replayed.call_site if divergence.replayed else None
    return site is not None and _frame_in(site, suspect) is not None


def _place(site: CallSite) -> str:
    return f"{base_name(site.file)}:{site.line}"
