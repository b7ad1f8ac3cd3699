"""Reports as GitHub Actions annotations: workflow commands on stdout."""

from collections.abc import Iterator, Sequence

from durable_execution.observers import CallSite
from durable_execution.replay.divergence import Severity, explain
from durable_execution.replayer.formats.places import relative, site_of
from durable_execution.replayer.formats.text import summary
from durable_execution.replayer.report import ReplayReport

COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def to_github(reports: Sequence[ReplayReport]) -> str:
    """Write one annotation per root difference, side effect and failure, and a notice with the summary."""
    lines = [line for report in reports for line in _annotations(report)]
    return "\n".join([*lines, f"::notice title=durable-debug check::{_data(summary(reports))}"]) + "\n"


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
    place = f"file={_property(relative(site.file))},line={max(1, site.line)}," if site is not None else ""
    return f"::{word} {place}title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
