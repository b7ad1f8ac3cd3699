"""Reports as JSON, for programs."""

import json
from collections.abc import Sequence

from durable_execution.replayer.report import ReplayReport, Verdict, worst


def to_json(reports: Sequence[ReplayReport]) -> str:
    """Write one object: a summary, and each report in the form of `ReplayReport.to_wire`."""
    counted = {verdict.value: sum(report.verdict is verdict for report in reports) for verdict in Verdict}
    document = {
        "schema": "durable-replay-reports",
        "version": 1,
        "exit_code": int(worst(list(reports))),
        "summary": {"recordings": len(reports), **counted},
        "reports": [report.to_wire() for report in reports],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, default=str)
