"""Compares what happened with what a requirement demands: event by event, without allowances.

Only listed members are compared. `{}` asks for the member and takes any content, `*` takes anything, `${NAME}` takes
anything the first time and the same thing ever after, `${/pattern/}` searches the text of the value.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.requirement import Requirement, substitute
from tests.conformance.running import Outcome

BOUND = re.compile(r"\$\{(\w+)\}")
SEARCHED = re.compile(r"\$\{/(.*)/\}", re.DOTALL)
PATTERN = re.compile(r"/(.*)/", re.DOTALL)


def complaints(requirement: Requirement, outcome: Outcome) -> list[str]:
    """Everything that is not as required; empty when the requirement is met."""
    bindings: dict[str, Any] = {}
    found = [*_result(requirement, outcome), *_events(requirement, outcome, bindings)]
    for expected in requirement.logs:
        found += _log(substitute(dict(expected), bindings), outcome.records)
    return found


def _result(requirement: Requirement, outcome: Outcome) -> list[str]:
    if requirement.status is not None and outcome.status != requirement.status:
        return [f"the execution is {outcome.status}, not {requirement.status}: {outcome.error}"]
    if requirement.status == "SUCCEEDED" and requirement.has_result:
        result = json.loads(outcome.result) if outcome.result else None
        if result != requirement.result:
            return [f"the result is {result!r}, not {requirement.result!r}"]
    return []


def _events(requirement: Requirement, outcome: Outcome, bindings: dict[str, Any]) -> list[str]:
    happened = {event["EventId"]: event for event in outcome.events}
    found: list[str] = []
    for expected in requirement.events:
        event_id = expected["EventId"]
        if event_id not in happened:
            found.append(f"event {event_id} ({expected['EventType']}) did not happen")
        else:
            found += _member(f"event {event_id}", expected, happened[event_id], bindings)
    return found


def _member(place: str, expected: Any, actual: Any, bindings: dict[str, Any]) -> list[str]:
    if expected in ("*", {}):
        return []
    if isinstance(expected, Mapping):
        return _members(place, expected, actual, bindings)
    if isinstance(expected, str) and (pattern := SEARCHED.fullmatch(expected)):
        return [] if re.search(pattern[1], str(actual)) else [f"{place} is {actual!r}, without {pattern[1]!r}"]
    if isinstance(expected, str) and (name := BOUND.fullmatch(expected)):
        expected = bindings.setdefault(name[1], actual)
    return [] if expected == actual else [f"{place} is {actual!r}, not {expected!r}"]


def _members(place: str, expected: Mapping[str, Any], actual: Any, bindings: dict[str, Any]) -> list[str]:
    if not isinstance(actual, Mapping):
        return [f"{place} is {actual!r}, not an object"]
    found: list[str] = []
    for name, value in expected.items():
        if name not in actual:
            found.append(f"{place} has no {name}, but {sorted(actual)}")
        else:
            found += _member(f"{place} {name}", value, actual[name], bindings)
    return found


def _log(expected: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [place for place, record in enumerate(records) if _is_match(expected["match"], record)]
    if "count" in expected and len(found) != expected["count"]:
        return [f"{len(found)} instead of {expected['count']} log records are {expected['match']}"]
    if len(found) < expected.get("min_count", 0):
        return [f"{len(found)} instead of at least {expected['min_count']} log records are {expected['match']}"]
    for earlier in expected.get("after") or ():
        first = next((place for place, record in enumerate(records) if _is_match(earlier, record)), None)
        if first is None or (found and found[0] < first):
            return [f"log record {expected['match']} does not come after {earlier}"]
    return []


def _is_match(expected: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    return all(name in record and _is_value(value, record[name]) for name, value in expected.items())


def _is_value(expected: Any, actual: Any) -> bool:
    pattern = PATTERN.fullmatch(expected) if isinstance(expected, str) else None
    if pattern is None:
        return bool(expected == actual and type(expected) is type(actual))
    return re.search(pattern[1], actual if isinstance(actual, str) else json.dumps(actual)) is not None
