"""Expressions that a debugger evaluates in the frames of a replay: watches, conditions, log expressions.

A replay records short texts, not values, so an expression is evaluated by replaying again. Evaluating runs user code, in the
isolated process of that replay; what it changes ends with the process.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from durable_execution.errors import DurableError

MAX_PROBES = 50
NAMES = re.compile(r"[^\W\d]\w*")


class UnusableExpressionError(DurableError):
    """An expression is not Python, or cannot be evaluated at a line."""


@dataclass(frozen=True, slots=True)
class Probe:
    """An expression, and where it is evaluated.

    Attributes:
        expression: A Python expression.
        file: The file; None evaluates it at every line.
        line: The line, from 1.
        index: The event of the recording; None evaluates it each time the line runs.
    """

    expression: str
    file: str | None = None
    line: int | None = None
    index: int | None = None

    def is_at(self, file: str, line: int, index: int) -> bool:
        """Whether it is evaluated at an event."""
        is_here = self.file is None or (self.file == file and self.line == line)
        return is_here and self.index in (None, index)


@dataclass(frozen=True, slots=True)
class Stepping:
    """How a debugger wants a replay recorded.

    Attributes:
        probes: Expressions to evaluate.
        opens_contexts: Whether to run the bodies of finished maps and contexts too, which a resumed execution skips.
        hides_secrets: Whether values that look like secrets are hidden.
    """

    probes: tuple[Probe, ...] = ()
    opens_contexts: bool = True
    hides_secrets: bool = True


def checked(expression: str) -> str:
    """Return an expression without blanks around it.

    Raises:
        UnusableExpressionError: It is not a Python expression.
    """
    text = expression.strip()
    try:
        compile(text, "<expression>", "eval")
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UnusableExpressionError(f"{text!r} is not a Python expression: {reason}") from None
    return text


class Probes:
    """Evaluates expressions while a replay runs.

    Args:
        probes: The expressions.
        text: Renders a value with a name; values of names that look secret are hidden.
    """

    def __init__(self, probes: Sequence[Probe], text: Callable[[str, Any], str]) -> None:
        self._probes = [(each, compile(each.expression, "<expression>", "eval")) for each in probes[:MAX_PROBES]]
        self._text = text

    def values(self, frame: FrameType, file: str, line: int, index: int) -> dict[str, str | None]:
        """Return the texts of the expressions that are evaluated at an event, by expression."""
        return {
            probe.expression: self._value(NAMES.findall(probe.expression)[-1:], code, frame)
            for probe, code in self._probes
            if probe.is_at(file, line, index)
        }

    def _value(self, names: list[str], code: CodeType, frame: FrameType) -> str:
        name = names[0] if names else ""
        try:
            value = eval(code, frame.f_globals, dict(frame.f_locals))  # noqa: S307  # the user's expression
            return self._text(name, value)
        except Exception as error:  # noqa: BLE001  # the exception is the expression's answer
            return f"{RAISED}{type(error).__name__}: {error}"


RAISED = "raises "
"""Starts the text of an expression that raised."""


def is_true(text: str | None) -> bool:
    """Whether a condition held: its text is that of a true value. Conditions are wrapped in `bool`."""
    return text == "True"
