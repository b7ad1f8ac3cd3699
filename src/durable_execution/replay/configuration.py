"""Compares the configuration of a call with the recorded one: wait lengths, targets, payloads, timeouts, branches."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from durable_execution.replay.call_tree import CallNode, is_same_json
from durable_execution.replay.divergence import Divergence, DivergenceKind, Severity, Side, readable
from durable_execution.replay.wording import effect_of, fix_of, likely_of

WAIT_TOLERANCE_SECONDS = 1
"""A wait's length may have to be computed from its start and end, which are both rounded."""

TIMEOUTS = ("timeout_seconds", "heartbeat_timeout_seconds")
KINDS = {"branches": DivergenceKind.BRANCH_COUNT, "input": DivergenceKind.INPUT}
SHOWN_IN_LABEL = ("wait_seconds", "branches", "function_name")
MAX_VALUE_SHOWN = 80


def configuration_divergence(
    recorded: CallNode, replayed: CallNode, *, context_path: str, handler: str
) -> Divergence | None:
    """Return the first difference between the known configurations of two calls."""
    found = difference(replayed.known, recorded.known, is_partial=recorded.is_partial)
    if found is None:
        return None
    return divergence_of(*found, recorded.side, replayed.side, context_path=context_path, handler=handler)


def difference(
    asked: Mapping[str, Any], known: Mapping[str, Any], *, is_partial: bool = False, tolerance: int = 0
) -> tuple[str, Any, Any] | None:
    """Return the first member that differs: its name, the replayed value, the recorded value.

    Args:
        asked: Configuration of the replayed call.
        known: Recorded configuration.
        is_partial: Whether a map or parallel may have had more branches than are recorded.
        tolerance: How much a wait's length may differ, in seconds.
    """
    without = {word: None for word in TIMEOUTS if word in known}  # a missing timeout is compared as well
    for word, wanted in {**without, **asked}.items():
        if word == "wait_seconds" and asked.get("has_jitter"):
            continue  # the delay of a retry is random
        if word in known and not _is_same(word, wanted, known[word], is_partial=is_partial, tolerance=tolerance):
            return word, wanted, known[word]
    return None


def divergence_of(
    word: str, asked: Any, known: Any, recorded: Side, replayed: Side, *, context_path: str, handler: str
) -> Divergence:
    """Return the difference as a divergence. A changed number of branches is an error, all else a warning."""
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
    """Return the name of an invoked function without account, region and qualifier, which differ between environments."""
    parts = function_name.split(":")
    if "function" in parts[:-1]:
        return parts[parts.index("function") + 1]
    return parts[0]


def _is_same(word: str, asked: Any, known: Any, *, is_partial: bool, tolerance: int) -> bool:
    if word == "wait_seconds":
        return bool(abs(asked - known) <= tolerance)
    if word == "branches" and is_partial:
        return bool(known <= asked)  # the other branches may still start
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
