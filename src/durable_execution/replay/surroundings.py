"""What a process that replays is started with: another hash seed, clock, time zone, locale, random seed or environment."""

import ctypes
import datetime as dt
import gc
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_execution.clock import SystemClock
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay.suspects import Suspect

DAY = 86_400
NO_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
HERE = 2
"""Replays in one process: the second one shows what the first one left behind."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process is started with, instead of what this process has.

    Attributes:
        name: What differs, in words.
        environ: Variables that are set; None removes one.
        clock_offset: Seconds by which the clock is moved.
        random_seed: Seed of random numbers and uuids; None leaves them alone.
        replays: Replays in the process.
    """

    name: str
    environ: Mapping[str, str | None] = field(default_factory=dict)
    clock_offset: int = 0
    random_seed: int | None = None
    replays: int = 1

    def environment(self) -> dict[str, str] | None:
        """Return the environment of the process; None for that of this process."""
        if not self.environ:
            return None
        changed = {**os.environ, **self.environ}
        return {name: value for name, value in changed.items() if value is not None}


FRESH = Surroundings("a fresh process", replays=HERE)
WORN = Surroundings("a process that replays many times", replays=8)
"""What code keeps between executions may decide only when it is full, or at every third execution."""


HASHED = tuple(Surroundings(f"a process with hash seed {seed}", {"PYTHONHASHSEED": str(seed)}) for seed in range(4, 9))
"""The first item of a set may be the same for some seeds."""


STEADY = tuple(
    Surroundings(f"a process with the same clock and numbers, {what}", environ, random_seed=1)
    for what, environ in (
        ("as here", {}),
        ("number 2", {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", **NO_LOCALE}),
        ("number 3", {"PYTHONHASHSEED": "3", "TZ": "America/Lima", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}),
    )
)
"""If replays differ between these, neither the clock nor random numbers make the difference."""


def surroundings_for(
    execution: RecordedExecution,
    suspects: Iterable[Suspect] = (),
    variables: Mapping[str, str | None] | None = None,
    members: Sequence[Sequence[str]] = (),
) -> list[Surroundings]:
    """Choose what to change: the recorded time, two in which everything differs, and the variables that were read.

    Args:
        execution: The recording.
        suspects: What was observed while the code ran.
        variables: Environment variables that were read at import, with the text that is used where one is not set.
        members: Values that stand beside each other, such as those of an enum.
    """
    recorded = execution.started_at
    back = round((recorded - SystemClock().now()).total_seconds()) if recorded is not None else -7 * DAY
    found = [
        Surroundings(
            "a process at the recorded time",
            {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati"},
            clock_offset=back,
            random_seed=1,
        ),
        Surroundings(
            "a process 200 days ahead",
            {"PYTHONHASHSEED": "3", "TZ": "America/Lima", **NO_LOCALE},
            clock_offset=200 * DAY,
            random_seed=3,
        ),
        Surroundings(
            "a process 12 hours ahead",
            {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"},  # in this zone: day here is night there
            clock_offset=DAY // 2,
            random_seed=2,
        ),
    ]
    known = variables or {}
    names = sorted(
        {one.what[12:-2] for one in suspects if one.kind == "environment" and one.what.startswith("os.environ[")}
        | known.keys()
    )

    def plausible(name: str) -> str | None:
        return next(iter(plausible_values(os.environ.get(name), members, known.get(name))), os.environ.get(name))

    wanted = f"a process with other values of {', '.join(names)}"
    for number, value in enumerate(VALUES if names else (), start=1):
        changed = {name: plausible(name) if value is _flipped else value(os.environ.get(name)) for name in names}
        if any(changed[name] != os.environ.get(name) for name in names):
            found.append(Surroundings(wanted if number == 1 else f"{wanted}, number {number}", changed))
    return found


def _flipped(value: str | None) -> str | None:
    flips = {"0": "1", "1": "0", "true": "false", "false": "true", "on": "off", "off": "on", "yes": "no", "no": "yes"}
    if value is None:
        return "1"
    return "0" if value.isdecimal() and int(value) > 1 else flips.get(value.lower(), value)


def _different(value: str | None) -> str:
    return f"{value}000" if value is not None and value.isdecimal() else "other"


LEVELS = (("DEBUG", "INFO", "WARNING", "ERROR"), ("debug", "info", "warning", "error"), ("dev", "staging", "prod"))
"""Values that often stand beside each other."""


def plausible_values(
    value: str | None, members: Iterable[Sequence[str]] = (), default: str | None = None
) -> list[str | None]:
    """Return values that a variable may have elsewhere: the opposite of a switch, another member of an enum or key of a table, none.

    Args:
        value: Its value here; None where it is not set.
        members: Values that stand beside each other, such as those of an enum.
        default: What the code uses where the variable is not set.
    """
    used = value if value is not None else default
    beside = next((group for group in (*members, *LEVELS) if used in group), None)
    others: list[str | None] = [*[one for one in beside or () if one != used][:1]] or [_flipped(used)]
    if others == [used]:
        others = [_different(used)] if used is not None and used.isdecimal() else []
    return [*others, *([None] if value is not None else [])]


VALUES = (_flipped, lambda _: None, _different)
"""Values that a variable plausibly has elsewhere: the opposite of a switch, none, a larger number or a different name."""


def shift_clock(seconds: int) -> None:
    """Move the clock of this process.

    The methods of `datetime` and `date` themselves are replaced, not the classes: code that holds or compares the classes, such
    as a pydantic model, goes on working, and modules that imported them before see the moved clock too.
    """
    if not seconds:
        return
    real_time, real_time_ns, offset = time.time, time.time_ns, dt.timedelta(seconds=seconds)
    now = vars(dt.datetime)["now"]

    def shifted_now(cls: Any, tz: dt.tzinfo | None = None) -> Any:
        return now.__get__(None, cls)(tz) + offset

    def shifted_utcnow(cls: Any) -> Any:
        return now.__get__(None, cls)(dt.UTC).replace(tzinfo=None) + offset

    def shifted_today(cls: Any) -> Any:
        moved = dt.datetime.now()  # noqa: DTZ005  # as date.today
        return cls(moved.year, moved.month, moved.day)

    _replace_methods(dt.datetime, now=shifted_now, utcnow=shifted_utcnow, today=shifted_now)
    _replace_methods(dt.date, today=shifted_today)
    _follow_clock()
    time.time = lambda: real_time() + seconds
    time.time_ns = lambda: real_time_ns() + seconds * 1_000_000_000


def _replace_methods(owner: type, **methods: Callable[..., Any]) -> None:
    """Replace class methods of a type that is written in C, through the dictionary behind its read-only view."""
    (members,) = (one for one in gc.get_referents(vars(owner)) if isinstance(one, dict))
    members.update({name: classmethod(method) for name, method in methods.items()})
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))


def _follow_clock() -> None:
    """Let the functions that read the time by themselves use the clock that was moved."""
    real_local, real_gm, real_format = time.localtime, time.gmtime, time.strftime

    def local(at: float | None = None) -> time.struct_time:
        return real_local(time.time() if at is None else at)

    def gm(at: float | None = None) -> time.struct_time:
        return real_gm(time.time() if at is None else at)

    def formatted(how: str, at: Any = None) -> str:
        return real_format(how, local() if at is None else at)

    patched: Any = time
    patched.localtime, patched.gmtime, patched.strftime = local, gm, formatted


def seed_random(seed: int) -> None:
    """Make random numbers the same in every run with the same seed."""
    source = random.Random(seed)
    random.seed(seed)
    os.urandom = source.randbytes
    shared: Any = random
    shared._urandom = source.randbytes  # noqa: SLF001  # what `SystemRandom` draws from, and so `secrets`
