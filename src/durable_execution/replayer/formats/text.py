"""Reports as text, for people."""

from collections.abc import Iterator, Sequence

from durable_execution.replay.divergence import explain, readable
from durable_execution.replay.wording import count
from durable_execution.replayer.formats.places import relative_in
from durable_execution.replayer.report import ReplayReport, Verdict

MAX_SUSPECTS = 5
WORDS = {
    Verdict.SAME: "same",
    Verdict.DIVERGED: "DIVERGED",
    Verdict.EFFECTS: "SIDE EFFECTS",
    Verdict.FAILED: "HANDLER FAILED",
    Verdict.STUCK: "DID NOT FINISH",
    Verdict.UNREADABLE: "UNREADABLE",
}


def to_text(reports: Sequence[ReplayReport]) -> str:
    """Write one line per recording, the explanation of each root difference, and a summary."""
    lines: list[str] = []
    for report in reports:
        lines.extend(_report(report))
    if len(reports) != 1:
        lines.append(summary(reports))
    return relative_in("\n".join(lines) + "\n")


def summary(reports: Sequence[ReplayReport]) -> str:
    """Count the recordings by verdict, in one line."""
    counted = [(verdict, sum(report.verdict is verdict for report in reports)) for verdict in Verdict]
    parts = [f"{number} {WORDS[verdict].lower()}" for verdict, number in counted if number]
    return f"{count(len(reports), 'recording')}: {', '.join(parts) if parts else 'nothing to replay'}"


def headline(report: ReplayReport) -> str:
    """Return verdict, recording and handler in one line."""
    calls = count(report.calls, "call")
    return f"{WORDS[report.verdict]:<14} {readable(report.source)}  against {readable(report.handler)}  ({calls})"


def _report(report: ReplayReport) -> Iterator[str]:
    yield headline(report)
    for divergence in report.roots:
        yield _indented(explain(divergence))
        if divergence.suspects[1:] and divergence.likely:
            yield f"    also       {'; '.join(map(readable, divergence.suspects[1:MAX_SUSPECTS]))}"
        if divergence.follow_on:
            yield f"    and        {count(divergence.follow_on, 'later difference')} caused by this one"
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
