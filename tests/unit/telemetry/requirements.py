"""Checks spans against a requirement file: what a span has to be, hang under, link to, and come before."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.unit.telemetry.receiver import Received

RELATIONS = ("before", "after", "inside")
SYNTHETIC_ROOT = "durable.execution.synthetic_root"
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
PATTERN = re.compile(r"\$\{/(.*)/\}", re.DOTALL)


def problems(spans: Sequence[Received], assertions: Mapping[str, Any], bound: Mapping[str, str]) -> list[str]:
    """Everything that is not as required. Tolerates what the files do not know: the synthetic root over Workflow, and a
    later segment's link to its operation."""
    wanted = bind(assertions, bound)
    found: list[str] = []
    if len(spans) < wanted.get("minimum_spans", 1):
        found.append(f"{len(spans)} spans, at least {wanted['minimum_spans']} expected")
    invocations = [
        span for span in spans if span.name == "Invocation" and "durable.invocation.first" in span.attributes
    ]
    if len(invocations) < wanted.get("minimum_invocations", 1):
        found.append(f"{len(invocations)} invocations")
    allowed = {arn.lower() for arn in wanted.get("allowed_execution_arns", [bound["EXECUTION_ARN"]])}
    seen = {
        str(s.attributes["durable.execution.arn"]).lower() for s in spans if "durable.execution.arn" in s.attributes
    }
    if not seen or not seen <= allowed:
        found.append(f"execution ARNs {seen}")
    found += _more_than_one_root(spans) + _backwards(spans)
    return found + _unmatched(spans, wanted)


def bind(value: Any, bound: Mapping[str, str]) -> Any:
    """Replace `${NAME}` by what it stands for; patterns stay."""
    if isinstance(value, Mapping):
        return {key: bind(item, bound) for key, item in value.items()}
    if isinstance(value, list):
        return [bind(item, bound) for item in value]
    if isinstance(value, str) and not PATTERN.fullmatch(value):
        return PLACEHOLDER.sub(lambda match: bound.get(match.group(1), match.group(0)), value)
    return value


def _more_than_one_root(spans: Sequence[Received]) -> list[str]:
    roots: dict[str, set[str]] = {}
    for span in spans:
        if span.parent_span_id is None:
            roots.setdefault(span.trace_id, set()).add(span.span_id)
    return [f"trace {trace} has {len(ids)} roots" for trace, ids in roots.items() if len(ids) > 1]


def _backwards(spans: Sequence[Received]) -> list[str]:
    return [f"{span.name} ends before it starts" for span in spans if span.end_ns < span.start_ns]


def _unmatched(spans: Sequence[Received], wanted: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    covered: set[int] = set()
    for index, assertion in enumerate(wanted["span_assertions"]):
        place = f"[{index}] {assertion['select'].get('name')}"
        chosen = [
            i for i, span in enumerate(spans) if i not in covered and matches(assertion["select"], canonical(span))
        ]
        if not _is_count(assertion.get("count", 1), len(chosen)):
            found.append(f"{place}: {len(chosen)} spans match {assertion['select']}")
            continue
        covered.update(chosen)
        for i in chosen:
            found += [f"{place}: {problem}" for problem in _differences(spans[i], assertion["expect"], spans, wanted)]
    if wanted.get("require_all_spans"):
        scopes = wanted.get("span_assertion_scope") or {}
        for i, span in enumerate(spans):
            is_in_scope = any(
                matches(scope, canonical(span)) for scope in (scopes if isinstance(scopes, list) else [scopes])
            )
            if i not in covered and is_in_scope and SYNTHETIC_ROOT not in span.attributes:
                found.append(f"nothing asks for {span.name} {span.attributes}")
    return found


def _differences(
    span: Received, expected: Mapping[str, Any], spans: Sequence[Received], wanted: Mapping[str, Any]
) -> list[str]:
    found: list[str] = []
    shape = canonical(span)
    for key, value in expected.items():
        if key == "parent_span_id" and not value and span.name == "Workflow":
            found += [] if span.parent_span_id else ["Workflow has no ancestor"]
        elif key == "links":
            found += _link_problems(span, value, spans)
        elif key == "parent":
            found += _parent_problems(span, value, spans)
        elif key in RELATIONS:
            found += _time_problems(key, span, value, spans)
        elif not matches(value, shape.get(key)):
            found.append(f"{key} is {shape.get(key)}, not {value}")
    for prefix in wanted.get("exact_attribute_prefixes", ()):
        asked = {key for key in expected.get("attributes", {}) if key.startswith(prefix)}
        has = {key for key in span.attributes if key.startswith(prefix)}
        if asked != has:
            found.append(f"attributes {sorted(has ^ asked)} are too many or too few")
    return found


def _link_problems(span: Received, expected: list[Any], spans: Sequence[Received]) -> list[str]:
    links = list(span.links)
    if len(links) == len(expected) + 1 and _is_own_first_segment(span, links[0], spans):
        links = links[1:]
    if len(links) != len(expected):
        return [f"{len(links)} links, not {len(expected)}"]
    found: list[str] = []
    for (trace_id, span_id), asked in zip(links, expected, strict=True):
        targets = [other for other in spans if (other.trace_id, other.span_id) == (trace_id, span_id)]
        selector = {key: value for key, value in asked.items() if not key.startswith("$")}
        if not any(matches(selector, canonical(target)) for target in targets):
            found.append(f"no link to {selector}")
        occurrence = asked.get("$occurrence")
        if occurrence is not None:
            same = sorted((s for s in spans if matches(selector, canonical(s))), key=lambda s: (s.start_ns, s.end_ns))
            if [other.span_id for other in same].index(span_id) + 1 != occurrence:
                found.append(f"links to another occurrence than {occurrence} of {selector}")
    return found


def _is_own_first_segment(span: Received, link: tuple[str, str], spans: Sequence[Received]) -> bool:
    operation = span.attributes.get("durable.operation.id")
    return any(
        (other.trace_id, other.span_id) == link and other.attributes.get("durable.operation.id") == operation
        for other in spans
    )


def _parent_problems(span: Received, expected: Mapping[str, Any], spans: Sequence[Received]) -> list[str]:
    parents = [s for s in spans if s.span_id == span.parent_span_id and s.trace_id == span.trace_id]
    if len(parents) != 1:
        return [f"{len(parents)} parents"]
    selector = {key: value for key, value in expected.items() if not key.startswith("$")}
    if not matches(selector, canonical(parents[0])):
        return [f"its parent is {parents[0].name} {parents[0].attributes}, not {selector}"]
    is_outside = span.start_ns < parents[0].start_ns or span.end_ns > parents[0].end_ns
    return ["its parent does not enclose it"] if is_outside and not expected.get("$allow_outside") else []


def _time_problems(relation: str, span: Received, expected: Mapping[str, Any], spans: Sequence[Received]) -> list[str]:
    selector = {key: value for key, value in expected.items() if not key.startswith("$")}
    others = [
        other
        for other in spans
        if other is not span
        and (not expected.get("$linked") or (other.trace_id, other.span_id) in span.links)
        and matches(selector, canonical(other))
    ]
    if len(others) != 1:
        return [f"{relation}: {len(others)} spans match {selector}"]
    other = others[0]
    is_so = {
        "before": span.end_ns <= other.start_ns,
        "after": span.start_ns >= other.end_ns,
        "inside": other.start_ns <= span.start_ns and span.end_ns <= other.end_ns,
    }[relation]
    return [] if is_so else [f"is not {relation} {selector}"]


def matches(expected: Any, actual: Any) -> bool:
    """Whether a value is as expected; mappings may have more than is expected."""
    if expected == "*":
        return True
    if isinstance(expected, str) and (pattern := PATTERN.fullmatch(expected)):
        return re.search(pattern.group(1), str(actual)) is not None
    if isinstance(expected, Mapping) and set(expected) == {"$any_of"}:
        return any(matches(choice, actual) for choice in expected["$any_of"])
    if isinstance(expected, Mapping):
        return isinstance(actual, Mapping) and all(k in actual and matches(v, actual[k]) for k, v in expected.items())
    return bool(expected == actual) and isinstance(expected, bool) == isinstance(actual, bool)


def canonical(span: Received) -> dict[str, Any]:
    """A span under the names requirement files use."""
    return {
        "name": span.name,
        "status": span.status,
        "kind": span.kind,
        "service_name": span.service_name,
        "parent_span_id": span.parent_span_id,
        "attributes": span.attributes,
    }


def _is_count(expected: Any, count: int) -> bool:
    return count in expected["$any_of"] if isinstance(expected, Mapping) else count == expected
