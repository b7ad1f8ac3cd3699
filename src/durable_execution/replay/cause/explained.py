"""Puts the cause of a difference into its explanation: what is likely, the fix, and the kind where the source shows a new call."""

import linecache
from dataclasses import replace

from durable_execution.comparison.wording import (
    CAUSED,
    fix_of,
    fix_of_cause,
    fix_of_changed_call,
    fix_of_edit,
    is_flat,
    likely_of,
)
from durable_execution.divergence import Cause, Divergence, DivergenceKind, Evidence
from durable_execution.replay.cause.deciding_line import fresh_source, with_deciding_line
from durable_execution.replay.source.placement import says


def applied(divergence: Divergence) -> Divergence:
    """Return the difference with its cause in the explanation: as what is likely, and in the fix that follows from it.

    A call that an edit added before the recorded one is a new call, although a replay that ends where its result is used
    cannot see the recorded one behind it.
    """
    cause = divergence.cause
    if cause is None:
        return with_deciding_line(divergence)
    if cause.edit == "added" and not divergence.moved and divergence.kind is not DivergenceKind.INSERTED:
        fix = fix_of(DivergenceKind.INSERTED, divergence.recorded, divergence.replayed)
        divergence = replace(divergence, kind=DivergenceKind.INSERTED, fix=fix)
    if divergence.moved:
        fix = divergence.fix
    elif cause.edit in ("moved", "renamed"):
        fix = fix_of_changed_call(divergence, is_moved=cause.edit == "moved")
    elif cause.evidence is Evidence.CHANGED:
        fix = fix_of_edit(divergence, cause.line, is_computed=_is_computed(divergence, cause))
    elif cause.evidence in (Evidence.REPRODUCED, Evidence.OBSERVED) or cause.is_from_source:
        fix = cause.fix
    elif divergence.kind is DivergenceKind.OUTCOME or cause.fix == divergence.fix:
        fix = divergence.fix
    else:
        fix = fix_of_cause(divergence.kind, divergence.recorded, divergence.replayed)
    likely = f"{divergence.moved}: {cause}" if divergence.moved else str(cause)
    found = replace(divergence, likely=likely, fix=fix)
    return found if _may_be_changed(divergence, cause) else _unchanged(found, is_moved=cause.edit == "moved")


def _unchanged(divergence: Divergence, *, is_moved: bool) -> Divergence:
    """Return a difference without the claim that its call was changed: the recorded call is made elsewhere, or not at all."""
    if divergence.kind not in (DivergenceKind.RENAMED, DivergenceKind.CHANGED_KIND) or is_flat(divergence.replayed):
        return divergence
    return replace(divergence, kind=DivergenceKind.REORDERED if is_moved else DivergenceKind.SKIPPED)


def _may_be_changed(divergence: Divergence, cause: Cause) -> bool:
    """Whether an edit may have given the recorded call a different name or kind.

    A value that varies changes no call: the code takes another branch, or computes a name that no one wrote. An edit elsewhere
    changes none either, where the name is written at the call. Without evidence, nothing is known.
    """
    if cause.edit is not None:
        return cause.edit == "renamed"
    if cause.evidence is not Evidence.CHANGED:
        return cause.evidence is Evidence.POSSIBLE
    replayed = divergence.replayed
    site = replayed.call_site if replayed is not None else None
    if replayed is None or site is None or site.line == cause.line:
        return True
    here = fresh_source(site.file).at(site.line)
    return here is None or not says(here, replayed)


CLAIMS_EDIT = (" was split into ", " were merged into ", "after the recording", "it was added")
"""Words of a likely cause that says the code was edited."""

SOURCES = "such as a clock, a random value, the environment, or state that outlives an execution"


def explained_as_unedited(divergence: Divergence) -> Divergence:
    """Return a difference without a cause, where the code is the recorded code: no sentence may say that it was edited."""
    kind, recorded, replayed = divergence.kind, divergence.recorded, divergence.replayed
    found, plain = applied(divergence), likely_of(kind, recorded, replayed)
    if found.likely != plain and not _claims_edit(found):
        return found
    found = applied(replace(divergence, likely=plain, fix=fix_of(kind, recorded, replayed)))
    if found.likely != plain and not _claims_edit(found):
        return replace(found, fix=found.fix.partition("; if you changed ")[0])
    reason = f"perhaps {divergence.suspects[0]}" if divergence.suspects else SOURCES
    likely = f"the code is the recorded code, so something that is not recorded decides which calls it makes: {reason}"
    return replace(divergence, likely=likely, fix=CAUSED)


def _claims_edit(divergence: Divergence) -> bool:
    return any(words in (divergence.likely or "") for words in CLAIMS_EDIT)


def _is_computed(divergence: Divergence, cause: Cause) -> bool:
    """Whether the edited line computes the name of its call, so that the recorded name cannot be written there."""
    name = divergence.replayed.name if divergence.replayed is not None else None
    return name is not None and name not in linecache.getline(cause.file, cause.line)
