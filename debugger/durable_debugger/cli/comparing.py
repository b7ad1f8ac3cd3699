"""Shows a comparison, in the debugger or as text."""

from argparse import Namespace

from durable_debugger.cli.exits import Exit
from durable_debugger.cli.output import Output
from durable_debugger.model.differences import Differences
from durable_debugger.model.session import Session
from durable_debugger.views.diff import DiffMode, diff_header, diff_line, why_lines
from durable_execution.replay.divergence import Severity


def print_comparison(session: Session, differences: Differences, output: Output) -> None:
    """Print every call of both sides, and an explanation of each root difference."""
    output.line(diff_header(differences, output.width))
    mode = DiffMode()
    for row in differences.aligned:
        output.line(diff_line(session, mode, row, output.width))
    for index in differences.roots:
        output.line()
        row = differences.aligned[index]
        output.lines(why_lines(row.divergence, row, output.width))
    if not differences.roots:
        output.line()
        output.lines(why_lines(None, None, output.width))


def comparison_report(differences: Differences) -> dict[str, object]:
    """The differences as JSON-ready values."""
    return {
        "divergences": [divergence.to_wire() for divergence in differences.comparison.divergences],
        "roots": len(differences.roots),
        "follow_on": differences.follow_on,
    }


def exit_code(differences: Differences) -> Exit:
    """1 if the sides differ by more than informational remarks, else 0."""
    found = differences.comparison.divergences
    return Exit.DIVERGED if any(each.severity is not Severity.INFO for each in found) else Exit.OK


def wants_text(arguments: Namespace, output: Output) -> bool:
    """Whether to print instead of opening the debugger."""
    return bool(arguments.headless or arguments.json or not output.is_terminal)
