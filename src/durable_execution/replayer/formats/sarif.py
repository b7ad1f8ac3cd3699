"""Reports as SARIF 2.1.0, which code scanning tools show beside the source."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from durable_execution.observers import CallSite
from durable_execution.replay.divergence import TITLES, Divergence, DivergenceKind, Severity, explain
from durable_execution.replay.wording import fix_of
from durable_execution.replayer.formats.places import relative, site_of
from durable_execution.replayer.report import ReplayReport
from durable_execution.replayer.suspects import Suspect

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
EFFECT_RULE = "side-effect-outside-step"
FAILURE_RULE = "replay-failed"


def to_sarif(reports: Sequence[ReplayReport]) -> str:
    """Write one run with one result per root difference, side effect and failure."""
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "durable-debug", "rules": _rules()}},
                "results": [result for report in reports for result in _results(report)],
            }
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _rules() -> list[dict[str, Any]]:
    rules = [
        {
            "id": kind.value,
            "shortDescription": {"text": TITLES[kind].capitalize()},
            "help": {"text": fix_of(kind, None, None)},
        }
        for kind in DivergenceKind
    ]
    effect = {"id": EFFECT_RULE, "shortDescription": {"text": "Side effect outside a step"}}
    return [*rules, effect, {"id": FAILURE_RULE, "shortDescription": {"text": "The handler failed or did not finish"}}]


def _results(report: ReplayReport) -> Iterator[dict[str, Any]]:
    for divergence in report.roots:
        yield _divergence(report, divergence)
    for effect in report.effects:
        yield _effect(report, effect)
    if report.error and not report.roots and not report.effects and not report.is_same:
        yield _result(FAILURE_RULE, "error", report.error, None, report)


def _divergence(report: ReplayReport, divergence: Divergence) -> dict[str, Any]:
    found = _result(
        divergence.kind.value, LEVELS[divergence.severity], explain(divergence), site_of(divergence), report
    )
    found["partialFingerprints"] = {"divergence/v1": f"{report.handler}:{divergence.kind}:{divergence.path}"}
    found["properties"]["path"] = divergence.path
    return found


def _effect(report: ReplayReport, effect: Suspect) -> dict[str, Any]:
    text = f"{effect.what} in {effect.site.function} is outside a step: it would happen on every replay"
    return _result(EFFECT_RULE, "error", text, effect.site, report)


def _result(rule: str, level: str, text: str, site: CallSite | None, report: ReplayReport) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "properties": {"recording": report.source, "handler": report.handler},
    }
    if site is not None:
        artifact = {"uri": relative(site.file)}
        found["locations"] = [
            {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": max(1, site.line)}}}
        ]
    return found
