"""Compares what a call asks for with what is recorded: lengths of waits, targets and payloads, timeouts, branches."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from durable_execution.replay.call_tree import CallNode, is_same_json
from durable_execution.replay.divergence import Divergence, DivergenceKind, Severity, Side, readable
from durable_execution.replay.wording import effect_of, fix_of, likely_of

WAIT_TOLERANCE_SECONDS = 1
"""Where a wait's length is recovered from its start and end, both are rounded."""

TIMEOUTS = ("timeout_seconds", "heartbeat_timeout_seconds")
KINDS = {"branches": DivergenceKind.BRANCH_COUNT, "input": DivergenceKind.INPUT}
SHOWN_IN_LABEL = ("wait_seconds", "branches", "function_name")
MAX_VALUE_SHOWN = 80


def configuration_divergence(
    recorded: CallNode, replayed: CallNode, *, context_path: str, handler: str
) -> Divergence | None:
    """The first difference between the configurations of two calls, as far as both are known."""
    found = difference(replayed.known, recorded.known, is_partial=recorded.is_partial)
    if found is None:
        return None
    return divergence_of(*found, recorded.side, replayed.side, context_path=context_path, handler=handler)


def difference(
    asked: Mapping[str, Any], known: Mapping[str, Any], *, is_partial: bool = False, tolerance: int = 0
) -> tuple[str, Any, Any] | None:
    """The first member that differs: its name, what is asked for, what is recorded.

    Args:
        asked: What the code asks for.
        known: What is recorded.
        is_partial: Whether a batch may have had more branches than are recorded.
        tolerance: By how many seconds the length of a wait may differ.
    """
    without = {word: None for word in TIMEOUTS if word in known}  # no timeout is an answer, too
    for word, wanted in {**without, **asked}.items():
        if word == "wait_seconds" and asked.get("has_jitter"):
            continue  # the pause of a retry: its length is drawn
        if word in known and not _is_same(word, wanted, known[word], is_partial=is_partial, tolerance=tolerance):
            return word, wanted, known[word]
    return None


def divergence_of(
    word: str, asked: Any, known: Any, recorded: Side, replayed: Side, *, context_path: str, handler: str
) -> Divergence:
    """The difference as a value. Another number of branches is an error, everything else a warning."""
    kind = KINDS.get(word, DivergenceKind.CONFIGURATION)
    left, right = _shown(recorded, word, known), _shown(replayed, word, asked)
    return Divergence(
        kind=kind,
        severity=Severity.ERROR if kind is DivergenceKind.BRANCH_COUNT else Severity.WARNING,
        handler=handler,
        path=recorded.path or replayed.path or context_path,
        context_path=context_path,
        position=replayed.position,
        recorded=left,
        replayed=right,
        likely=likely_of(kind, recorded, replayed),
        effect=effect_of(kind, recorded, replayed, word=word),
        fix=fix_of(kind, recorded, replayed, word=word),
    )


def target_of(function_name: str) -> str:
    """The function an invoke means, without account, region and qualifier, which differ between environments."""
    parts = function_name.split(":")
    if "function" in parts[:-1]:
        return parts[parts.index("function") + 1]
    return parts[0]


def _is_same(word: str, asked: Any, known: Any, *, is_partial: bool, tolerance: int) -> bool:
    if word == "wait_seconds":
        return bool(abs(asked - known) <= tolerance)
    if word == "branches" and is_partial:
        return bool(known <= asked)  # it may still get the rest
    if word in TIMEOUTS:
        return (asked or 0) == (known or 0)
    if word == "function_name":
        return target_of(str(asked)) == target_of(str(known))
    if word == "input":
        return is_same_json(asked, known)
    return bool(asked == known)


def _shown(side: Side, word: str, value: Any) -> Side:
    configuration = {key: item for key, item in side.configuration.items() if key != "input"}
    if word in SHOWN_IN_LABEL:
        return replace(side, configuration={**configuration, word: value})
    text = readable(str(value), limit=MAX_VALUE_SHOWN)
    return replace(side, configuration=configuration, detail=f"{side.label}, {word.replace('_', ' ')} {text}")
