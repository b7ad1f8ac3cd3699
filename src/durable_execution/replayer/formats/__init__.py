"""Reports as text, JSON, JUnit, SARIF and GitHub annotations."""

from collections.abc import Callable, Sequence

from durable_execution.replayer.formats.github import to_github
from durable_execution.replayer.formats.json_report import to_json
from durable_execution.replayer.formats.junit import to_junit
from durable_execution.replayer.formats.sarif import to_sarif
from durable_execution.replayer.formats.text import to_text
from durable_execution.replayer.report import ReplayReport

FORMATS: dict[str, Callable[[Sequence[ReplayReport]], str]] = {
    "text": to_text,
    "json": to_json,
    "junit": to_junit,
    "sarif": to_sarif,
    "github": to_github,
}
"""The formats of `durable-debug check --format`."""


def render(reports: Sequence[ReplayReport], format: str) -> str:  # noqa: A002  # the option's name
    """Render all reports in one format, with a final newline.

    Raises:
        ValueError: The format is unknown.
    """
    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}: use one of {', '.join(FORMATS)}")
    return FORMATS[format](reports).rstrip("\n") + "\n"


__all__ = ["FORMATS", "render", "to_github", "to_json", "to_junit", "to_sarif", "to_text"]
