"""Lint findings as text, JSON, SARIF 2.1.0 or GitHub annotations."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from durable_execution.replayer.formats.places import relative
from durable_execution.replayer.lint.findings import RULES, LintFinding


def to_text(findings: Sequence[LintFinding]) -> str:
    """Write one line per finding, and the total."""
    if not findings:
        return "no findings\n"
    total = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    return "".join(f"{found}\n" for found in findings) + f"{total}\n"


def to_json(findings: Sequence[LintFinding]) -> str:
    """Write a list with one object per finding."""
    return json.dumps([{**asdict(found), "message": found.message} for found in findings], indent=2) + "\n"


def to_github(findings: Sequence[LintFinding]) -> str:
    """Write one workflow command per finding, which GitHub shows beside the source."""
    return "".join(
        f"::warning file={_property(relative(found.file))},line={found.line},col={found.column},title={found.rule}::"
        f"{found.message.replace('%', '%25')}\n"
        for found in findings
    )


def to_sarif(findings: Sequence[LintFinding]) -> str:
    """Write one run with one result per finding."""
    rules = [
        {"id": rule.code, "name": rule.name, "shortDescription": {"text": rule.name}, "help": {"text": rule.fix}}
        for rule in RULES.values()
    ]
    results = [
        {
            "ruleId": found.rule,
            "level": "warning",
            "message": {"text": found.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": relative(found.file)},
                        "region": {"startLine": found.line, "startColumn": found.column},
                    }
                }
            ],
        }
        for found in findings
    ]
    run = {"tool": {"driver": {"name": "durable-debug lint", "rules": rules}}, "results": results}
    document = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2) + "\n"


FORMATS: dict[str, Callable[[Sequence[LintFinding]], str]] = {
    "text": to_text,
    "json": to_json,
    "sarif": to_sarif,
    "github": to_github,
}
"""The formats of `durable-debug lint --format`."""


def _property(text: str) -> str:
    return text.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
