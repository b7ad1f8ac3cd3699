"""Reads what the project's own cases expect: files of sections, each a case.

A section starts with `== <case> <what it shows>`. Lines up to the first with a status say what happens to the handler: its
`input` as JSON, and `callback <name> <operation> [payload as JSON] after <seconds>`. The rest is the execution as
`rendering.render` writes it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.requirement import CallbackAction, Requirement

FOLDER = Path(__file__).parent / "expected"
ACTION = re.compile(r"callback (\S+) (success|failure|heartbeat)(?: (.*))? after (\d+)")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One case of the project's own.

    Attributes:
        id: The case.
        title: What it shows.
        requirement: What is sent to the handler.
        lines: The execution as text.
    """

    id: str
    title: str
    requirement: Requirement
    lines: tuple[str, ...]


def expectations() -> Iterator[Expectation]:
    """Every case, file by file."""
    for path in sorted(FOLDER.glob("*.txt")):
        for section in path.read_text().split("\n== ")[1:]:
            yield _read(section)


def _read(section: str) -> Expectation:
    head, *lines = (line.rstrip() for line in section.strip().split("\n"))
    case, _, title = head.partition(" ")
    payload = None
    actions: list[CallbackAction] = []
    while lines and (lines[0].startswith("input ") or ACTION.fullmatch(lines[0])):
        line = lines.pop(0)
        if line.startswith("input "):
            payload = json.loads(line.removeprefix("input "))
        else:
            actions.append(_action(line))
    required = Requirement(
        id=case,
        payload=payload,
        awaits_end=not lines or not lines[0].startswith("RUNNING"),
        status=None,
        result=None,
        has_result=False,
        events=(),
        logs=(),
        actions=tuple(actions),
    )
    return Expectation(case, title.strip(), required, tuple(lines))


def _action(line: str) -> CallbackAction:
    match = ACTION.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r} does not say what happens to a callback")
    payload = json.loads(match[3]) if match[3] else None
    return CallbackAction(match[1], match[2], payload, float(match[4]))
