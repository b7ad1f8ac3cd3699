"""The sentences of an explanation: likely cause, effect of resuming, and fix."""

from typing import NamedTuple

from durable_execution.call_site import CallSite
from durable_execution.counts import counted, plural
from durable_execution.divergence import Divergence, DivergenceKind, Side

Kind = DivergenceKind

READ_IN_STEP = "read the clock, random values, the environment, files and the network inside a step"
BRANCHES_ON = "the code branches on a value read outside a step (clock, random, environment, …)"
OLD = "which returns False for executions that already went past this point"
LIKELY = {
    Kind.SKIPPED: f"{{recorded}} was removed from the code, or {BRANCHES_ON}",
    Kind.INSERTED: f"{{replayed}} was added before recorded calls, or {BRANCHES_ON}",
    Kind.RENAMED: "{recorded} was renamed to {replayed}, or {replayed} is a different call in its place: the recording "
    "does not show which",
    Kind.CHANGED_KIND: f"a call of a different kind took the place of {{recorded}}, or {BRANCHES_ON}",
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
    Kind.SKIPPED: f"make the call again, or make it only `if not ctx.patched({{change}}):`, {OLD}; if you did not remove "
    f"it, {READ_IN_STEP}",
    Kind.INSERTED: f"make the new call only `if ctx.patched({{change}}):`, {OLD}; if you did not add it, {READ_IN_STEP}",
    Kind.RENAMED: f"if a different call took its place, make the new call only `if ctx.patched({{change}}):`, {OLD}, and the "
    "recorded call in `else:`; if only its name changed, keep `{name}` until running executions have finished",
    Kind.CHANGED_KIND: f"make the new call only `if ctx.patched({{change}}):`, {OLD}, and the recorded call in `else:`; if you "
    f"did not change it, {READ_IN_STEP}",
    Kind.REORDERED: f"make the calls in the recorded order, or use the new order only `if ctx.patched({{change}}):`, {OLD}; if "
    "the order varies, iterate over sorted(...) instead of a set",
    Kind.BRANCH_COUNT: f"compute the list in a step, so that every replay sees the recorded list; if you changed it, use the "
    f"new list only `if ctx.patched({{change}}):`, {OLD}",
    Kind.CONFIGURATION: f"compute the {{word}} in a step; if you changed it, use the new value only "
    f"`if ctx.patched({{change}}):`, {OLD}",
    Kind.INPUT: f"compute the {{word}} in a step; if you changed it, use the new value only "
    f"`if ctx.patched({{change}}):`, {OLD}",
    Kind.RESULT: "compute the value in a step, and give the step a result type that restores the value exactly",
    Kind.UNFINISHED: "wait only for durable operations, and await every operation that you start",
    Kind.OUTCOME: "compute the result from recorded values, or let running executions finish before changing it",
    Kind.CODE_CHANGED: "nothing to do",
}
SAME_FUNCTION = "the same function runs under a different name: {replayed} instead of {recorded}"
KEEP_NAME = "keep `{name}` until running executions have finished; if the name is computed, compute it from recorded values only"
"""For a call whose function is known to be the recorded one. Everything else may be a different call."""

CAUSED = f"{READ_IN_STEP}, so that every replay sees the recorded value"
"""For a difference that comes from a value read outside a step: no name, kind or order is at fault."""

CODE_FIXES = frozenset(
    {Kind.SKIPPED, Kind.INSERTED, Kind.RENAMED, Kind.CHANGED_KIND, Kind.REORDERED, Kind.BRANCH_COUNT}
)


STRICTER = {
    "PayloadError: ": "the type of the handler's event does not accept the recorded event any more",
    "SerializationError: the stored result": "the type of a result does not accept the recorded value any more",
}
"""What is likely where a replay ends with one of these errors of the SDK: a type was changed after the recording."""

ACCEPT = "make the type accept the recorded form as well, for example with a default for each new field"


class Sentences(NamedTuple):
    """The lines of an explanation that guess or advise."""

    likely: str
    effect: str
    fix: str


VARIED = Sentences(
    likely="the code varies by itself: it made a different call in this replay, and the recorded one in the next",
    effect="some replays would fail, and others would not",
    fix=f"{CAUSED}; state that outlives an execution varies too, such as a module variable, a cache or a counter",
)
"""For a difference that a second replay does not show."""

APPENDED = Sentences(
    likely="the call was added after the last recorded call",
    effect="none on recorded calls: executions that have not reached this point will also make the new call",
    fix="if you intended this, record the execution again",
)
"""For a new call after the end of the recording."""

ENDED_DIFFERENTLY = Sentences(
    likely="the call ended differently in the two executions",
    effect="the calls after it may get different values, or not be made",
    fix="compare the two results: up to this call, the executions are the same",
)
"""For a call of two recordings."""


def likely_of(
    kind: DivergenceKind, recorded: Side | None, replayed: Side | None, *, is_same_function: bool = False
) -> str:
    """Guess the cause from the two sides alone.

    Args:
        kind: The kind of the difference.
        recorded: The recorded side.
        replayed: The replayed side.
        is_same_function: Whether both sides are known to call the same function.
    """
    if kind is Kind.CHANGED_KIND and is_flat(replayed):
        return "the nesting of the branches changed"
    if (stricter := _stricter(replayed)) is not None:
        return stricter
    if kind is Kind.UNFINISHED and replayed is not None and has_raised(replayed):
        return f"{_line(replayed)} {_raises(replayed)}, where the recording went on"
    text = SAME_FUNCTION if kind is Kind.RENAMED and is_same_function else LIKELY[kind]
    return text.format(recorded=_short(recorded), replayed=_short(replayed))


def is_generic(divergence: Divergence) -> bool:
    """Whether the likely cause is a sentence that fits every difference of its kind."""
    kind, recorded, replayed = divergence.kind, divergence.recorded, divergence.replayed
    return _stricter(replayed) is None and divergence.likely in {
        likely_of(kind, recorded, replayed, is_same_function=same) for same in (False, True)
    }


def effect_of(
    kind: DivergenceKind,
    recorded: Side | None,
    replayed: Side | None,
    *,
    shifted: int = 0,
    by: int | None = 1,
    word: str | None = None,
) -> str:
    """Describe what would happen to recorded results if the execution resumed.

    Args:
        kind: The kind of the difference.
        recorded: The recorded side.
        replayed: The replayed side.
        shifted: Number of later calls that also get a different recorded result, or whose result is lost.
        by: Number of positions by which they shift; None if it varies.
        word: The member of the configuration that differs.
    """
    if kind is Kind.UNFINISHED and replayed is not None and has_raised(replayed):
        return f"the execution fails here and never reaches {_short(recorded)}, which the recording made"
    if kind is Kind.OUTCOME and _stricter(replayed) is not None:
        return "running executions would fail here, although the recorded one did not"
    if word == "wait_seconds":
        return "the wait keeps its recorded end: it becomes neither longer nor shorter"
    if word in ("timeout_seconds", "heartbeat_timeout_seconds"):
        return f"a call that has started keeps its recorded {word.removesuffix('_seconds').replace('_', ' ')}"
    return EFFECTS.get(kind) or _misplaced(recorded, replayed, shifted, by)


def fix_of(
    kind: DivergenceKind,
    recorded: Side | None,
    replayed: Side | None,
    *,
    word: str | None = None,
    is_same_function: bool = False,
) -> str:
    """Say what to change in the code.

    Args:
        kind: The kind of the difference.
        recorded: The recorded side.
        replayed: The replayed side.
        word: The member of the configuration that differs.
        is_same_function: Whether both sides are known to call the same function.
    """
    if kind is Kind.CHANGED_KIND and is_flat(replayed):
        return "keep the recorded nesting until running executions have finished"
    if _stricter(replayed) is not None:
        return ACCEPT
    if kind is Kind.UNFINISHED and replayed is not None and has_raised(replayed):
        return (
            f"accept at {_line(replayed)} what the recorded code accepted, or raise only "
            f"`if ctx.patched({_change(kind, recorded, replayed)}):`, {OLD}"
        )
    text = KEEP_NAME if kind is Kind.RENAMED and is_same_function else FIXES[kind]
    return text.format(
        recorded=_short(recorded),
        name=f"name={recorded.short_name}" if recorded and recorded.name else "name=None",
        word=(word or "argument").replace("_", " "),
        change=_change(kind, recorded, replayed),
    )


def replaced(recorded: Side, replayed: Side) -> tuple[str, str]:
    """Return the cause and the fix for a call that is not made because a different function runs in its place."""
    change = _change(Kind.INSERTED, recorded, replayed)
    likely = (
        f"{replayed.short_name} took the place of {recorded.short_name} and runs a different function, or {BRANCHES_ON}"
    )
    fix = f"make the new call only `if ctx.patched({change}):`, {OLD}, and the recorded call in `else:`"
    return likely, f"{fix}; if you did not change it, {READ_IN_STEP}"


def exchanged(branch: int, before: str | None, after: str | None, side: Side) -> tuple[str, str]:
    """Return the cause and the fix for branches that changed places.

    Args:
        branch: Index of the first one.
        before: Its recorded function, where known.
        after: Its function now, where known.
        side: The recorded branch.
    """
    what = f": branch {branch} runs `{after}` in place of `{before}`" if before and after else ""
    return f"the branches changed places{what}", FIXES[Kind.REORDERED].format(change=change_id(side))


def fix_of_cause(kind: DivergenceKind, recorded: Side | None, replayed: Side | None) -> str:
    """Say what to change where the difference comes from a value read outside a step.

    The advice never keeps a name, a kind or an order: that would give the recorded result of one call to another.

    Args:
        kind: The kind of the difference.
        recorded: The recorded side.
        replayed: The replayed side.
    """
    if kind not in CODE_FIXES:
        return CAUSED
    change = _change(kind, recorded, replayed)
    return f"{CAUSED}; if you changed the code on purpose, guard the change with `if ctx.patched({change}):`, {OLD}"


def fix_of_computed_name(recorded: Side, replayed: Side, *, is_same_function: bool) -> str:
    """Say what to change where code computes the name of a call: it cannot be kept, and the values it comes from may vary."""
    compute = f"compute the name from recorded values only: {READ_IN_STEP}"
    if is_same_function:
        return compute
    change = _change(Kind.RENAMED, recorded, replayed)
    return f"{compute}; if you changed the code, make the new call only `if ctx.patched({change}):`, {OLD}, and the recorded call in `else:`"


CHANGES = ("; if you changed it, ", "; if you changed the loop, ", "; if you changed the order, ")
VARIES = ("; if you did not ", "; if the order varies, ", "; if the name is computed, ")


def fix_of_edit(divergence: Divergence, line: int, *, is_computed: bool = False) -> str:
    """Say what to change where an edit makes the difference: only the part of the fix that is about a change.

    Args:
        divergence: The difference.
        line: The edited line. A name that was edited elsewhere than at its call belongs to a different call.
        is_computed: Whether that line computes the name of the call.
    """
    replayed = divergence.replayed
    site = replayed.call_site if replayed is not None else None
    if divergence.kind is Kind.RENAMED and (site is None or site.line != line):
        change = _change(divergence.kind, divergence.recorded, replayed)
        return f"make the change only `if ctx.patched({change}):`, {OLD}"
    if divergence.kind is Kind.RENAMED and is_computed and divergence.recorded is not None:
        return (
            f"undo the edit until running executions have finished: the name is {divergence.recorded.short_name} there"
        )
    if divergence.kind is Kind.OUTCOME and site is not None:
        return f"correct {place(site)}, where today's code raises; if it should, let running executions finish before you deploy it"
    if divergence.kind is Kind.OUTCOME:
        return "let running executions finish before you deploy this change, or undo it"
    fix = divergence.fix
    for clause in CHANGES:
        _, found, change = fix.partition(clause)
        if found:
            return change
    for clause in VARIES:
        fix = fix.partition(clause)[0]
    return fix


def fix_of_changed_call(divergence: Divergence, *, is_moved: bool) -> str:
    """Say what to change where an edit moved the recorded call out of a loop or condition or into one, or only renamed it."""
    recorded = divergence.recorded
    if is_moved:
        change = _change(Kind.SKIPPED, recorded, divergence.replayed)
        return f"make the call where it was, or move it only `if ctx.patched({change}):`, {OLD}"
    name = f"name={recorded.short_name}" if recorded is not None and recorded.name else "name=None"
    return KEEP_NAME.format(name=name).partition(VARIES[-1])[0]


def _misplaced(recorded: Side | None, replayed: Side | None, shifted: int, by: int | None) -> str:
    if replayed is None and recorded is not None:
        more = f"; the same for {counted(shifted, 'later call')}" if shifted else ""
        return f"{recorded.short_name} has already run, but its result is no longer used{more}"
    if recorded is None and replayed is not None:
        return f"{replayed.short_name} would run although the recording went on without it"
    if recorded is None or replayed is None:
        return "recorded results would go to other calls"
    names = replayed.short_name, recorded.short_name
    if names[0] == names[1]:
        names = f"the {replayed.label}", f"the {recorded.label}"
    taken = f"{names[0]} would take the recorded result of {names[1]}"
    if not shifted:
        return taken
    return f"{taken}; {counted(shifted, 'later call')} {plural(shifted, 'shifts', 'shift')}{f' by {by}' if by else ''}"


def _change(kind: DivergenceKind, recorded: Side | None, replayed: Side | None) -> str:
    """The id of the change, quoted, as `ctx.patched` takes it."""
    is_unnamed = kind is Kind.UNFINISHED and (replayed is None or not replayed.name)  # code that raises has no call
    return change_id(recorded if kind is Kind.SKIPPED or is_unnamed else replayed or recorded)


def change_id(side: Side | None) -> str:
    """Return the id of a change as `ctx.patched` takes it, in quotes: the name of the call in the spelling of ids."""
    name = (side.name if side is not None else None) or "my change"
    return f'"{"-".join(name.replace("_", " ").split())[:60]}"'


def place(site: CallSite) -> str:
    """Return file and line of a call site, without folders."""
    return f"{site.file.replace(chr(92), '/').rpartition('/')[2]}:{site.line}"


def times(number: int) -> str:
    """Return `once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _short(side: Side | None) -> str:
    return side.short_name if side else "the call"


def is_flat(side: Side | None) -> bool:
    """Whether a replayed side is a virtual branch, which leaves no record of its own."""
    return side is not None and side.detail is not None and side.detail.startswith("virtual")


def has_raised(side: Side) -> bool:
    """Whether a replayed side stands for an error that ended its context."""
    return side.detail is not None and side.detail.startswith("raised ")


def _raises(side: Side) -> str:
    return f"raises {(side.detail or '').removeprefix('raised ')}"


def _line(side: Side) -> str:
    return place(side.call_site) if side.call_site is not None else "the code"


def _stricter(replayed: Side | None) -> str | None:
    """What is likely if a replayed side is an error about a recorded value that today's type does not accept."""
    detail = (replayed.detail if replayed is not None else None) or ""
    return next((likely for text, likely in STRICTER.items() if text in detail), None)
