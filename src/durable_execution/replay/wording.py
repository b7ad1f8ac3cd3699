"""The sentences of an explanation: what likely caused a difference, what resuming would do, what to write."""

from typing import NamedTuple

from durable_execution.protocol.paths import kind_of
from durable_execution.replay.divergence import DivergenceKind, Side

Kind = DivergenceKind

READ_IN_STEP = "read clock, random, environment, files and network in a step"
OTHER_WAY = "changed code, or a branch on something read outside a step (clock, random, environment, …)"
LIKELY = {
    Kind.SKIPPED: f"{{recorded}} was removed or is now skipped: {OTHER_WAY}",
    Kind.INSERTED: f"{{replayed}} is new, before recorded calls: {OTHER_WAY}",
    Kind.RENAMED: "the call got another name, or another call took its place; maybe only a rename",
    Kind.CHANGED_KIND: "the call was replaced by one of another kind",
    Kind.REORDERED: "the calls are made in another order: moved in the code, or ordered by something that varies, "
    "such as a set, the completion of tasks, or a directory listing",
    Kind.BRANCH_COUNT: "the list it runs over has another length: it was not computed from recorded values alone",
    Kind.CONFIGURATION: "its arguments are computed from something outside a step, or the code was changed",
    Kind.INPUT: "its arguments are computed from something outside a step, or the code was changed",
    Kind.RESULT: "the value is computed from something outside a step, or does not survive its serializer",
    Kind.UNFINISHED: "the code waits for something that no recorded event ends, or ended before it",
    Kind.OUTCOME: "the code after the last recorded call was changed, or computes with something outside a step",
    Kind.CODE_CHANGED: "the handler was edited since the recording",
}
EFFECTS = {
    Kind.CONFIGURATION: "the recorded result, made with the recorded arguments, is used as it is",
    Kind.INPUT: "the recorded result, made with the recorded arguments, is used as it is",
    Kind.RESULT: "code that ran before and code that runs again see different values",
    Kind.BRANCH_COUNT: "recorded branches would be dropped, or get results that belong to other items",
    Kind.OUTCOME: "running executions would end differently than recorded ones",
    Kind.UNFINISHED: "the execution would never end, or end without what it waited for",
    Kind.CODE_CHANGED: "none: the same calls are made in the same order",
}
FIXES = {
    Kind.SKIPPED: f"{READ_IN_STEP}; or leave the call out only `if ctx.patched({{change}}):`, which is false where "
    "the recording made it",
    Kind.INSERTED: f"{READ_IN_STEP}; or guard the new call with `if ctx.patched({{change}}):`, which is false where the "
    "recording went on without it",
    Kind.RENAMED: "keep the recorded name ({name}) until running executions have finished",
    Kind.CHANGED_KIND: f"keep the {{kind}} until running executions have finished; {READ_IN_STEP}",
    Kind.REORDERED: "make the calls in the recorded order; iterate over sorted(...) instead of a set",
    Kind.BRANCH_COUNT: "compute the list in a step, so that every replay sees the recorded one",
    Kind.CONFIGURATION: "compute the {word} in a step, or let running executions finish before changing it",
    Kind.INPUT: "compute the {word} in a step, or let running executions finish before changing it",
    Kind.RESULT: "compute the value in a step, and give the step a result type that restores it exactly",
    Kind.UNFINISHED: "wait only for durable operations, and await every one that was started",
    Kind.OUTCOME: "compute the result from recorded values, or let running executions finish before changing it",
    Kind.CODE_CHANGED: "nothing to do",
}


class Sentences(NamedTuple):
    """The guessed and advising lines of an explanation."""

    likely: str
    effect: str
    fix: str


APPENDED = Sentences(
    likely="the call was added behind the last recorded one",
    effect="none on recorded calls: an execution that has not come so far will make the new call as well",
    fix="nothing to do if that is meant; record the execution again",
)
"""For a new call where the recording has ended."""


def likely_of(kind: DivergenceKind, recorded: Side | None, replayed: Side | None) -> str:
    """A guess at the cause, from the two sides alone."""
    if kind is Kind.CHANGED_KIND and _is_flat(replayed):
        return "the nesting of the branches was changed"
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
    """Whose recorded result would go where if the execution went on.

    Args:
        kind: The kind of the difference.
        recorded: The recorded side.
        replayed: The replayed side.
        shifted: How many later recorded calls are affected as well.
        by: By how many calls they are shifted.
        word: Which part of the configuration differs.
    """
    if word == "wait_seconds":
        return "the recorded end stands: the wait is neither lengthened nor shortened"
    return EFFECTS.get(kind) or _misplaced(recorded, replayed, shifted, by)


def fix_of(kind: DivergenceKind, recorded: Side | None, replayed: Side | None, *, word: str | None = None) -> str:
    """What to write."""
    if kind is Kind.CHANGED_KIND and _is_flat(replayed):
        return "keep the recorded nesting until running executions have finished"
    return FIXES[kind].format(
        recorded=_short(recorded),
        name=f"name={recorded.short_name}" if recorded and recorded.name else "none",
        kind=kind_of(recorded.type, recorded.subtype).replace("_", " ") if recorded else "kind",
        word=(word or "argument").replace("_", " "),
        change=f'"{_change_id(recorded if kind is Kind.SKIPPED else replayed or recorded)}"',
    )


def count(number: int, noun: str) -> str:
    """`1 later call`, `4 later calls`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _misplaced(recorded: Side | None, replayed: Side | None, shifted: int, by: int) -> str:
    if replayed is None and recorded is not None:
        more = f"; the same for {count(shifted, 'later call')}" if shifted else ""
        return f"what {recorded.short_name} did has happened, but its result is not used any more{more}"
    if recorded is None and replayed is not None:
        return f"{replayed.short_name} would run although the recording went on without it"
    if recorded is None or replayed is None:
        return "recorded results would go to other calls"
    taken = f"{replayed.short_name} would take the recorded result of {recorded.short_name}"
    return f"{taken}; {count(shifted, 'later call')} shift{'s' if shifted == 1 else ''} by {by}" if shifted else taken


def _change_id(side: Side | None) -> str:
    """A name for the change: what was called, in the spelling of ids."""
    name = (side.name if side is not None else None) or "my change"
    return "-".join(name.replace("_", " ").split())[:60]


def _short(side: Side | None) -> str:
    return side.short_name if side else "the call"


def _is_flat(side: Side | None) -> bool:
    return side is not None and side.detail is not None and side.detail.startswith("flat")
