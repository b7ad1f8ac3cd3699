"""Reports as JUnit XML, which most CI systems display."""

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from durable_execution.replay.divergence import explain
from durable_execution.replayer.report import ExitCode, ReplayReport

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(reports: Sequence[ReplayReport]) -> str:
    """Write a test suite with one test case per recording."""
    failures = sum(report.exit_code is ExitCode.DIVERGED for report in reports)
    errors = sum(report.exit_code in (ExitCode.HANDLER_FAILED, ExitCode.CANNOT_LOAD) for report in reports)
    cases = "\n".join(_case(report) for report in reports)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites><testsuite name="durable-debug check" tests="{len(reports)}" failures="{failures}" '
        f'errors="{errors}">\n{cases}\n</testsuite></testsuites>\n'
    )


def _case(report: ReplayReport) -> str:
    name, classname = _attribute(report.source), _attribute(report.handler)
    opening = f"  <testcase name={name} classname={classname}"
    if report.is_same:
        return f"{opening}/>"
    element = "failure" if report.exit_code is ExitCode.DIVERGED else "error"
    kind = _attribute(report.root.kind.value if report.root else report.verdict.value)
    message = _attribute(report.root.headline if report.root else report.error or report.verdict.value)
    return (
        f"{opening}>\n    <{element} type={kind} message={message}>{_text(details(report))}</{element}>\n  </testcase>"
    )


def details(report: ReplayReport) -> str:
    """Return the differences, side effects, error and notes of a report that is not `same`."""
    parts = [explain(divergence) for divergence in report.roots]
    parts += [f"side effect outside a step, refused: {effect}" for effect in report.effects]
    parts += [report.error] if report.error else []
    return "\n\n".join([*parts, *report.notes])


def _attribute(value: str) -> str:
    return quoteattr(NOT_XML.sub("\ufffd", value))


def _text(value: str) -> str:
    return escape(NOT_XML.sub("\ufffd", value))
