"""The sentences of an explanation: likely cause, effect of resuming, and fix."""

from typing import NamedTuple

from durable_execution.divergence import DivergenceKind, Side
from durable_execution.protocol.paths import kind_of

Kind = DivergenceKind

READ_IN_STEP = "read the clock, random values, the environment, files and the network inside a step"
OTHER_WAY = "the code changed, or it branches on a value read outside a step (clock, random, environment, …)"
LIKELY = {
    Kind.SKIPPED: f"{{recorded}} was removed or is now skipped: {OTHER_WAY}",
    Kind.INSERTED: f"{{replayed}} is new, before recorded calls: {OTHER_WAY}",
    Kind.RENAMED: "the call was renamed, or a different call took its place",
    Kind.CHANGED_KIND: "a call of a different kind took its place",
    Kind.REORDERED: "the calls are made in a different order: they were moved in the code, or their order depends on "
    "something that varies, such as a set, the completion of tasks, or a directory listing",
    Kind.BRANCH_COUNT: "the list it runs over has a different length: it depends on more than recorded values",
    Kind.CONFIGURATION: "its arguments depend on a value read outside a step, or the code changed",
    Kind.INPUT: "its arguments depend on a value read outside a step, or the code changed",
    Kind.RESULT: "the value depends on something read outside a step, or its serializer does not restore it exactly",
    Kind.UNFINISHED: "the code waits for something that no recorded event completes, or it ended before the recorded end",
    Kind.OUTCOME: "the code after the last recorded call changed, or depends on a value read outside a step",
    Kind.CODE_CHANGED: "the handler was edited after the recording",
}
EFFECTS = {
    Kind.CONFIGURATION: "the recorded result, computed from the recorded arguments, is used unchanged",
    Kind.INPUT: "the recorded result, computed from the recorded arguments, is used unchanged",
    Kind.RESULT: "code that ran earlier and code that replays see different values",
    Kind.BRANCH_COUNT: "recorded branches would be dropped, or would receive results that belong to other items",
    Kind.OUTCOME: "running executions would end differently than recorded ones",
    Kind.UNFINISHED: "the execution would never end, or would end without the result it waited for",
    Kind.CODE_CHANGED: "none: the same calls are made in the same order",
}
FIXES = {
    Kind.SKIPPED: f"{READ_IN_STEP}; or skip the call only `if ctx.patched({{change}}):`, which returns False for "
    "executions that already made the call",
    Kind.INSERTED: f"{READ_IN_STEP}; or guard the new call with `if ctx.patched({{change}}):`, which returns False for "
    "executions that already went past this point",
    Kind.RENAMED: "keep the recorded name ({name}) until running executions have finished",
    Kind.CHANGED_KIND: f"keep the {{kind}} until running executions have finished; {READ_IN_STEP}",
    Kind.REORDERED: "make the calls in the recorded order; iterate over sorted(...) instead of a set",
    Kind.BRANCH_COUNT: "compute the list in a step, so that every replay sees the recorded list",
    Kind.CONFIGURATION: "compute the {word} in a step, or let running executions finish before changing it",
    Kind.INPUT: "compute the {word} in a step, or let running executions finish before changing it",
    Kind.RESULT: "compute the value in a step, and give the step a result type that restores the value exactly",
    Kind.UNFINISHED: "wait only for durable operations, and await every operation that you start",
    Kind.OUTCOME: "compute the result from recorded values, or let running executions finish before changing it",
    Kind.CODE_CHANGED: "nothing to do",
}


class Sentences(NamedTuple):
    """The lines of an explanation that guess or advise."""

    likely: str
    effect: str
    fix: str


APPENDED = Sentences(
    likely="the call was added after the last recorded call",
    effect="none on recorded calls: executions that have not reached this point will also make the new call",
    fix="if you intended this, record the execution again",
)
"""For a new call after the end of the recording."""


def likely_of(kind: DivergenceKind, recorded: Side | None, replayed: Side | None) -> str:
    """Guess the cause from the two sides alone."""
    if kind is Kind.CHANGED_KIND and _is_flat(replayed):
        return "the nesting of the branches changed"
    if kind is Kind.UNFINISHED and replayed is not None and has_raised(replayed):
        return f"{_line(replayed)} {_raises(replayed)}, where the recording went on"
    return LIKELY[kind].format(recorded=_short(recorded), replayed=_short(replayed))


def effect_of(
    kind: DivergenceKind,
    recorded: Side | None,
    replayed: Side | None,
    *,
    shifted: int = 0,
    by: int = 1,
    word: str | None = None,
) -> str:
    """Describe what would happen to recorded results if the execution resumed.

    Args:
        kind: The kind of the difference.
        recorded: The recorded side.
        replayed: The replayed side.
        shifted: Number of later recorded calls that are also affected.
        by: Number of positions by which they shift.
        word: The member of the configuration that differs.
    """
    if kind is Kind.UNFINISHED and replayed is not None and has_raised(replayed):
        return f"the execution fails here and never reaches {_short(recorded)}, which has already run"
    if word == "wait_seconds":
        return "the wait keeps its recorded end: it becomes neither longer nor shorter"
    return EFFECTS.get(kind) or _misplaced(recorded, replayed, shifted, by)


def fix_of(kind: DivergenceKind, recorded: Side | None, replayed: Side | None, *, word: str | None = None) -> str:
    """Say what to change in the code."""
    if kind is Kind.CHANGED_KIND and _is_flat(replayed):
        return "keep the recorded nesting until running executions have finished"
    if kind is Kind.UNFINISHED and replayed is not None and has_raised(replayed):
        change = _change_id(recorded)
        return (
            f'accept at {_line(replayed)} what the recorded code accepted, or raise only `if ctx.patched("{change}"):`, '
            "which returns False for executions that already went past this point"
        )
    return FIXES[kind].format(
        recorded=_short(recorded),
        name=f"name={recorded.short_name}" if recorded and recorded.name else "none",
        kind=kind_of(recorded.type, recorded.subtype).replace("_", " ") if recorded else "kind",
        word=(word or "argument").replace("_", " "),
        change=f'"{_change_id(recorded if kind is Kind.SKIPPED else replayed or recorded)}"',
    )


def count(number: int, noun: str) -> str:
    """Return `1 later call`, `4 later calls`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _misplaced(recorded: Side | None, replayed: Side | None, shifted: int, by: int) -> str:
    if replayed is None and recorded is not None:
        more = f"; the same for {count(shifted, 'later call')}" if shifted else ""
        return f"{recorded.short_name} has already run, but its result is no longer used{more}"
    if recorded is None and replayed is not None:
        return f"{replayed.short_name} would run although the recording went on without it"
    if recorded is None or replayed is None:
        return "recorded results would go to other calls"
    taken = f"{replayed.short_name} would take the recorded result of {recorded.short_name}"
    return f"{taken}; {count(shifted, 'later call')} shift{'s' if shifted == 1 else ''} by {by}" if shifted else taken


def _change_id(side: Side | None) -> str:
    """Derive an id for the change from the name of the call."""
    name = (side.name if side is not None else None) or "my change"
    return "-".join(name.replace("_", " ").split())[:60]


def _short(side: Side | None) -> str:
    return side.short_name if side else "the call"


def _is_flat(side: Side | None) -> bool:
    return side is not None and side.detail is not None and side.detail.startswith("virtual")


def has_raised(side: Side) -> bool:
    """Whether a replayed side stands for an error that ended its context."""
    return side.detail is not None and side.detail.startswith("raised ")


def _raises(side: Side) -> str:
    return f"raises {(side.detail or '').removeprefix('raised ')}"


def _line(side: Side) -> str:
    site = side.call_site
    return f"{site.file.replace(chr(92), '/').rpartition('/')[2]}:{site.line}" if site is not None else "the code"
