"""Reports as text, for people.

Reports as text, JSON, JUnit, SARIF and GitHub annotations.

Reports as GitHub Actions annotations: workflow commands on stdout.

Reports as JSON, for programs.

Reports as JUnit XML, which most CI systems display.

Finds the source location to show for a finding.

Reports as SARIF 2.1.0, which code scanning tools show beside the source.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import fix_of
from durable_execution.counts import counted
from durable_execution.divergence import TITLES, Divergence, DivergenceKind, Severity, explain, readable
from durable_execution.lint.rules import annotation_property, annotation_text, relative, sarif_document, sarif_uri
from durable_execution.protocol.safe_text import json_text, printable
from durable_execution.replay.report import ExitCode, ReplayReport, Verdict, worst
from durable_execution.replay.suspects import Suspect

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

COMMAND = "durable-debug check"
MAX_SUSPECTS = 5
LANDLOCK = "Landlock"
WORDS = {
    Verdict.SAME: "same",
    Verdict.DIVERGED: "DIVERGED",
    Verdict.EFFECTS: "SIDE EFFECTS",
    Verdict.FAILED: "HANDLER FAILED",
    Verdict.STUCK: "DID NOT FINISH",
    Verdict.UNREADABLE: "UNREADABLE",
    Verdict.UNSTABLE: "UNSTABLE",
    Verdict.EXITED: "EXITED",
    Verdict.KILLED: "KILLED",
    Verdict.HUNG: "HUNG",
    Verdict.MEMORY: "OUT OF MEMORY",
    Verdict.RECURSION: "RECURSION",
    Verdict.FORGED: "FORGED ANSWER",
    Verdict.INTERRUPTED: "NOT REPLAYED",
    Verdict.NO_HANDLER: "NO HANDLER",
}

COUNTED = {
    Verdict.EFFECTS: "with side effects",
    Verdict.FAILED: "failed",
    Verdict.FORGED: "with a forged answer",
    Verdict.RECURSION: "without an end to its recursion",
    Verdict.NO_HANDLER: "without a handler",
}
"""Words for a number of recordings, where those for one recording do not follow a number."""


def to_text(reports: Sequence[ReplayReport]) -> str:
    """Write one line per recording, the explanation of each root difference, and a summary."""
    lines = list(_header(reports))
    for report in reports:
        lines.extend(_report(report))
    if len(reports) != 1:
        lines.append(summary(reports))
    return printable(relative_in("\n".join(lines) + "\n"))


def summary(reports: Sequence[ReplayReport]) -> str:
    """Count the recordings by verdict, in one line."""
    numbers = [(verdict, sum(report.verdict is verdict for report in reports)) for verdict in Verdict]
    parts = [f"{number:,} {COUNTED.get(verdict) or WORDS[verdict].lower()}" for verdict, number in numbers if number]
    return f"{counted(len(reports), 'recording')}: {', '.join(parts) if parts else 'nothing to replay'}"


def _header(reports: Sequence[ReplayReport]) -> Iterator[str]:
    """Yield which layers of isolation were on, and what the handlers' modules did at import."""
    for layers in dict.fromkeys(report.isolation for report in reports if report.isolation):
        shown = ", ".join(layers) if LANDLOCK in layers else " only, with ".join(layers)
        yield f"isolation: {shown}{' only' if len(layers) == 1 else ''}"
    for line in dict.fromkeys(line for report in reports for line in report.at_import):
        yield f"  import       {readable(line)}"


def headline(report: ReplayReport) -> str:
    """Return verdict, recording and handler in one line."""
    return (
        f"{WORDS[report.verdict]:<14} {readable(report.source)}  against {readable(report.handler)}  ({extent(report)})"
    )


def extent(report: ReplayReport) -> str:
    """Say how far the replay came: "3 calls"; for a difference, "after 3 calls"."""
    if report.verdict is not Verdict.DIVERGED:
        return counted(report.calls, "call")
    return f"after {counted(report.calls, 'call')}" if report.calls else "at the first call"


def _report(report: ReplayReport) -> Iterator[str]:
    yield headline(report)
    for divergence in report.roots:
        yield _indented(explain(divergence))
        if divergence.suspects[1:] and divergence.likely and not divergence.has_evidence:
            yield f"    also       {'; '.join(map(readable, divergence.suspects[1:MAX_SUSPECTS]))}"
        if divergence.follow_on:
            yield f"    and        {counted(divergence.follow_on, 'later difference')} caused by this one"
    if report.error and report.verdict is not Verdict.SAME:
        yield f"  error        {readable(report.error)}"
    for effect in report.effects:
        yield f"  side effect  {readable(str(effect))} in {readable(effect.site.function)}, outside a step; refused"
    if report.ends and report.verdict is Verdict.SAME:
        yield f"  next         the recording ends here; the code would continue with {', '.join(map(readable, report.ends[:3]))}"
    for note in report.notes:
        yield f"  note         {readable(note)}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _annotations(report: ReplayReport) -> Iterator[str]:
    for divergence in report.roots:
        title = f"{divergence.title.capitalize()} in {report.source}"
        yield _command(COMMANDS[divergence.severity], title, explain(divergence), site_of(divergence))
    for effect in report.effects:
        text = f"{effect.what} is outside a step: it would happen on every replay"
        yield _command("error", f"Side effect in {report.source}", text, effect.site)
    if report.error and not report.roots and not report.effects and not report.is_same:
        yield _command("error", f"Replay of {report.source}", report.error, None)


def _command(word: str, title: str, text: str, site: CallSite | None) -> str:
    place = f"file={annotation_property(relative(site.file))},line={max(1, site.line)}," if site is not None else ""
    return f"::{word} {place}title={annotation_property(title)}::{annotation_text(relative_in(text))}"


def _divergence(report: ReplayReport, divergence: Divergence) -> dict[str, Any]:
    found = _result(
        divergence.kind.value, LEVELS[divergence.severity], explain(divergence), site_of(divergence), report
    )
    found["partialFingerprints"] = {"divergence/v1": f"{report.handler}:{divergence.kind}:{divergence.path}"}
    found["properties"]["path"] = divergence.path
    return found


def to_sarif(reports: Sequence[ReplayReport], command: str = COMMAND) -> str:
    """Write one run with one result per root difference, side effect and failure."""
    results = [result for report in reports for result in _results(report)]
    return json_text(sarif_document(command, _rules(), results))


def _results(report: ReplayReport) -> Iterator[dict[str, Any]]:
    for divergence in report.roots:
        yield _divergence(report, divergence)
    for effect in report.effects:
        yield _effect(report, effect)
    if report.error and not report.roots and not report.effects and not report.is_same:
        yield _result(FAILURE_RULE, "error", report.error, None, report)


def site_of(divergence: Divergence) -> CallSite | None:
    """Return the replayed call's call site, or the recorded one if the code did not make the call."""
    for side in (divergence.replayed, divergence.recorded):
        if side is not None and side.call_site is not None:
            return side.call_site
    return None


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


LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def _effect(report: ReplayReport, effect: Suspect) -> dict[str, Any]:
    text = f"{effect.what} in {effect.site.function} is outside a step: it would happen on every replay"
    return _result(EFFECT_RULE, "error", text, effect.site, report)


def relative_in(text: str) -> str:
    """Shorten paths below the working directory to relative paths in a text."""
    folder = Path.cwd()
    if folder == folder.parent:
        return text  # each path is below it, and so is what follows `https:`
    return re.sub(rf"(?<![\w./\\-]){re.escape(f'{folder}{os.sep}')}", "", text)


FAILURE_RULE = "replay-failed"


def _result(rule: str, level: str, text: str, site: CallSite | None, report: ReplayReport) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ruleId": rule,
        "level": level,
        "message": {"text": relative_in(text)},
        "properties": {"recording": report.source, "handler": report.handler},
    }
    place: dict[str, Any] = {"artifactLocation": {"uri": _artifact_of(report)}}
    if site is not None:
        place = {"artifactLocation": {"uri": sarif_uri(site.file)}, "region": {"startLine": max(1, site.line)}}
    found["locations"] = [{"physicalLocation": place}]
    return found


def _artifact_of(report: ReplayReport) -> str:
    """Return the file to show for a result without a line: that of the handler, if it is known, else the recording."""
    place = report.handler.partition(":")[0]
    if place.endswith(".py"):
        return sarif_uri(place)
    as_file = Path(*place.split(".")).with_suffix(".py") if place.replace(".", "").isidentifier() else None
    if as_file is not None and as_file.is_file():
        return sarif_uri(str(as_file))
    return sarif_uri(report.source)


def _add_case(suite: "Element", report: ReplayReport) -> None:
    from xml.etree.ElementTree import SubElement

    case = SubElement(suite, "testcase", name=_xml(report.source), classname=_xml(report.handler))
    if report.is_same:
        return
    element = "failure" if report.exit_code is ExitCode.DIVERGED else "error"
    kind = report.root.kind.value if report.root else report.verdict.value
    message = report.root.headline if report.root else report.error or report.verdict.value
    SubElement(case, element, type=_xml(kind), message=_xml(relative_in(message))).text = _xml(
        relative_in(details(report))
    )


def _xml(text: str) -> str:
    """Replace what XML cannot hold, such as escape characters and lone surrogates."""
    return NOT_XML.sub("\ufffd", text)


NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json(reports: Sequence[ReplayReport]) -> str:
    """Write one object: a summary, and each report in the form of `ReplayReport.to_wire`."""
    counted = {verdict.value: sum(report.verdict is verdict for report in reports) for verdict in Verdict}
    document = {
        "schema": "durable-replay-reports",
        "version": 1,
        "exit_code": int(worst(list(reports))),
        "is_partial": any(report.verdict is Verdict.INTERRUPTED for report in reports),
        "summary": {"recordings": len(reports), **counted},
        "reports": [report.to_wire() for report in reports],
    }
    return json_text(document)


def to_github(reports: Sequence[ReplayReport], command: str = COMMAND) -> str:
    """Write one annotation per root difference, side effect and failure, and a notice with the summary."""
    lines = [line for report in reports for line in _annotations(report)]
    return printable("\n".join([*lines, f"::notice title={command}::{annotation_text(summary(reports))}"]) + "\n")


EFFECT_RULE = "side-effect-outside-step"


def to_junit(reports: Sequence[ReplayReport], command: str = COMMAND) -> str:
    """Write a test suite with one test case per recording."""
    failures = sum(report.exit_code is ExitCode.DIVERGED for report in reports)
    errors = sum(report.exit_code not in (ExitCode.SAME, ExitCode.DIVERGED) for report in reports)
    from xml.etree import ElementTree as ET  # loaded for this format only

    suites = ET.Element("testsuites")
    suite = ET.SubElement(
        suites,
        "testsuite",
        name=command,
        tests=str(len(reports)),
        failures=str(failures),
        errors=str(errors),
        skipped="0",
    )
    for report in reports:
        _add_case(suite, report)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def details(report: ReplayReport) -> str:
    """Return the differences, side effects, error and notes of a report that is not `same`."""
    parts = [explain(divergence) for divergence in report.roots]
    parts += [f"side effect outside a step, refused: {effect}" for effect in report.effects]
    parts += [report.error] if report.error else []
    return "\n\n".join([*parts, *report.notes])


FORMATS: dict[str, Callable[[Sequence[ReplayReport]], str]] = {
    "text": to_text,
    "json": to_json,
    "junit": to_junit,
    "sarif": to_sarif,
    "github": to_github,
}
"""The formats of `durable-debug check --format`."""


NAMING: dict[str, Callable[[Sequence[ReplayReport], str], str]] = {
    "junit": to_junit,
    "sarif": to_sarif,
    "github": to_github,
}
"""The formats that name the command."""


def render(
    reports: Sequence[ReplayReport],
    format: str,  # noqa: A002  # the option's name
    *,
    command: str = COMMAND,
) -> str:
    """Render all reports in one format, with a final newline.

    Args:
        reports: The reports.
        format: One of `FORMATS`.
        command: The command that made them, for formats that name it.

    Raises:
        ValueError: The format is unknown.
    """
    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}: use one of {', '.join(FORMATS)}")
    text = NAMING[format](reports, command) if format in NAMING else FORMATS[format](reports)
    return text.rstrip("\n") + "\n"


__all__ = ["FORMATS", "render", "to_github", "to_json", "to_junit", "to_sarif", "to_text"]
