"""What can be set from the environment, in one table: the code reads it, the documentation is made from it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from durable_execution.errors import ConfigurationError

VIEWS = ("execution", "invocation")
OFF = frozenset({"off", "false", "0", "no", "none"})


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable.

    Attributes:
        name: What it is called.
        default: What applies when it is not set.
        meaning: What it does.
    """

    name: str
    default: str
    meaning: str


TELEMETRY = Variable("DURABLE_TELEMETRY", "on", "`off` sends no spans and no metrics, whatever provider is configured.")
VIEW = Variable(
    "DURABLE_TRACE_VIEW",
    "execution",
    "`execution`: one tree per execution, each operation once. `invocation`: one tree per invocation, with a segment of "
    "each operation that was open in it; for executions of hours or months, and for X-Ray.",
)
CONTEXT = Variable(
    "DURABLE_TRACE_CONTEXT",
    "incoming",
    "`incoming` joins the trace of the invocation's X-Ray or W3C header. `none` ignores it: every execution has a trace "
    "of its own. Needed where the function has no active tracing, since Lambda then says `Sampled=0`.",
)
FLUSH = Variable(
    "DURABLE_TELEMETRY_FLUSH_SECONDS",
    "5",
    "Longest time an invocation waits for its spans and metrics to be delivered. It never waits beyond the function's "
    "own deadline, less half a second; after a delivery that did not finish in time it waits half as long.",
)
VARIABLES = (TELEMETRY, VIEW, CONTEXT, FLUSH)


_chosen_view: list[str] = []


def choose_view(view: str) -> None:
    """Settle on a view in code; goes before the environment.

    Raises:
        ConfigurationError: There is no such view.
    """
    if view not in VIEWS:
        raise ConfigurationError(f"view {view!r} is none of {', '.join(VIEWS)}")
    _chosen_view[:] = [view]


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment's settings, read.

    Attributes:
        is_on: Whether to send anything.
        view: `execution` or `invocation`.
        joins_incoming: Whether to join an incoming trace.
        flush_seconds: Longest wait at the end of an invocation.
        problems: What was set to something that does not exist, a line each.
    """

    is_on: bool = True
    view: str = "execution"
    joins_incoming: bool = True
    flush_seconds: float = 5.0
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read them; what makes no sense is left at its default and named in `problems`."""
        given = os.environ if environment is None else environment
        problems: list[str] = []
        return cls(
            is_on=given.get(TELEMETRY.name, "on").strip().lower() not in OFF,
            view=_chosen_view[0] if _chosen_view else _choice(given, VIEW, VIEWS, problems),
            joins_incoming=_choice(given, CONTEXT, ("incoming", "none"), problems) == "incoming",
            flush_seconds=_seconds(given, FLUSH, problems),
            problems=tuple(problems),
        )


def _choice(given: Mapping[str, str], variable: Variable, choices: tuple[str, ...], problems: list[str]) -> str:
    value = given.get(variable.name, "").strip().lower() or variable.default
    if value in choices:
        return value
    problems.append(f"{variable.name}={value[:40]!r} is none of {', '.join(choices)}: {variable.default} is used")
    return variable.default


def _seconds(given: Mapping[str, str], variable: Variable, problems: list[str]) -> float:
    text = given.get(variable.name, "").strip() or variable.default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0 <= seconds <= 900:
        return seconds
    problems.append(
        f"{variable.name}={text[:40]!r} is not a number of seconds from 0 to 900: {variable.default} is used"
    )
    return float(variable.default)
