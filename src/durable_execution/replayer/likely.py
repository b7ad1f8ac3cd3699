"""Names the likely cause of a difference: which of the suspects decided the branch before it."""

import linecache
from collections.abc import Sequence
from dataclasses import replace

from durable_execution.observers import CallSite
from durable_execution.replay.cause import decision_on
from durable_execution.replay.divergence import Divergence
from durable_execution.replayer.frames import base_name
from durable_execution.replayer.suspects import Suspect, SuspectKind

MAX_SHOWN = 5
VARYING = frozenset(
    {
        SuspectKind.CLOCK, SuspectKind.RANDOM, SuspectKind.UUID, SuspectKind.ENVIRONMENT, SuspectKind.FILE,
        SuspectKind.NETWORK, SuspectKind.PROCESS, SuspectKind.CONTEXT, SuspectKind.CREDENTIALS, SuspectKind.ORDER,
    }
)  # fmt: skip
"""What can give another value; a sleep or a thread does not."""


def with_suspects(divergence: Divergence, suspects: Sequence[Suspect]) -> Divergence:
    """The difference, with what may have caused it named."""
    ranked = _ranked(divergence, [suspect for suspect in suspects if suspect.kind in VARYING])
    if not ranked:
        return divergence
    likely = next((text for suspect in ranked if (text := _decided_by(divergence, suspect)) is not None), None)
    if likely is None and divergence.kind not in ("renamed", "changed_kind"):
        nearest = ranked[0]
        likely = f"perhaps {nearest.what}, called outside a step at {_place(nearest.site)}"
    shown = tuple(str(suspect) for suspect in ranked[:MAX_SHOWN])
    return replace(divergence, suspects=shown, likely=likely or divergence.likely)


def _ranked(divergence: Divergence, suspects: list[Suspect]) -> list[Suspect]:
    """Those whose value decides a branch before the call first, then the nearest before it."""

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
    """The suspect's frame in the function that makes the call; without a call, its outermost frame."""
    if site is None:
        return suspect.stack[-1]
    return next((frame for frame in suspect.stack if frame.file == site.file and frame.function == site.function), None)


def _shares_function(divergence: Divergence, suspect: Suspect) -> bool:
    site = divergence.replayed.call_site if divergence.replayed else None
    return site is not None and _frame_in(site, suspect) is not None


def _place(site: CallSite) -> str:
    return f"{base_name(site.file)}:{site.line}"
