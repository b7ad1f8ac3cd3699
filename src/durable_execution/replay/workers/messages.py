"""What the supervisor of replays and its workers say to each other, in the order in which they say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay.lines.probes import Stepping
from durable_execution.replay.report import ReplayReport
from durable_execution.replay.suspects import Suspect

BROKEN = 70
"""Exit code of a worker whose own code failed, as `os.EX_SOFTWARE`."""

CUT_OFF = 71
"""Exit code of a worker that lost its connection."""

HOST = "127.0.0.1"
PDB, DEBUGPY = "pdb", "debugpy"


@dataclass(frozen=True, slots=True)
class Start:
    """The first message to a new process.

    Attributes:
        reference: The handler to import: `module:handler` or `file.py:handler`.
        memory: How many bytes a replay may allocate on top of what the import needed.
        allows_network_at_import: Whether the handler's module may use the network when it is imported.
        has_landlock: Whether to use Landlock where the kernel has it.
        clock_offset: By how many seconds to move the clock.
        random_seed: Seed of random numbers and uuids; None leaves them alone.
    """

    reference: str
    memory: int
    allows_network_at_import: bool
    has_landlock: bool
    clock_offset: int = 0
    random_seed: int | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The handler is imported.

    Attributes:
        handler: Its name, `module:qualname`.
        directory: The directory of its source; empty if unknown.
        layers: The layers of isolation that are on.
        effects: What its module did when it was imported.
        gaps: What no layer sees, one line each.
        variables: The environment variables that user code read during the import, with the text that it takes where one
            is not set; None where there is none.
        members: The values of each enum of user code whose values are texts, and the keys of each table in a module.
    """

    handler: str
    directory: str
    layers: tuple[str, ...]
    effects: tuple[Suspect, ...]
    gaps: tuple[str, ...]
    variables: Mapping[str, str | None] = field(default_factory=dict)
    members: tuple[tuple[str, ...], ...] = ()

    def at_import(self) -> tuple[str, ...]:
        """Return the effects of the import and the gaps it leaves, one line each."""
        return (*(f"{effect}, at import" for effect in self.effects), *self.gaps)


@dataclass(frozen=True, slots=True)
class Unusable:
    """The handler cannot be imported, or is not durable.

    Attributes:
        message: Why.
        is_unknown: Whether there is no such handler.
    """

    message: str
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Fork:
    """Asks for a process that replays. Two descriptors come with it: its connection, and where its output goes.

    Attributes:
        key: The key of its connection.
        expects_differences: Whether other recordings of the handler differed, so that this one may too.
    """

    key: bytes
    expects_differences: bool = False


@dataclass(frozen=True, slots=True)
class Forked:
    """A process that replays was started.

    Attributes:
        pid: Its process id.
    """

    pid: int


@dataclass(frozen=True, slots=True)
class Reap:
    """Asks how a process ended, and ends it if it has not.

    Attributes:
        pid: Its process id.
        seconds: How long to wait for its end before.
    """

    pid: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Reaped:
    """How a process ended.

    Attributes:
        code: Its exit code, negative for a signal.
        was_running: Whether it did not end by itself.
    """

    code: int
    was_running: bool


@dataclass(frozen=True, slots=True)
class Job:
    """One recording to replay.

    Attributes:
        execution: The recording.
        source: Its name in the report.
        seconds: Time limit.
        grace: How many seconds later its process is ended.
        is_every_prefix: Whether to replay each of its earlier states as well.
        has_rows: Whether the report needs the calls side by side.
        lines: How many replays to record line by line, instead of a report.
        calls_only: Whether to record the calls of those replays only.
        explains: Whether the report names causes; otherwise the supervisor looks for them.
        blank: The first call after which those replays record no values, and the call after which they do again; None for all.
        opened: Finished contexts that run again in those replays, by recorded id.
        order_seed: Seed of an order in which recorded operations complete, which is tried as well; None for none.
        stepping: How to record the lines for a debugger; None records them for the search for a cause.
    """

    execution: RecordedExecution
    source: str
    seconds: float
    grace: float
    is_every_prefix: bool = False
    has_rows: bool = True
    lines: int = 0
    calls_only: bool = False
    explains: bool = True
    blank: tuple[int, int] | None = None
    opened: frozenset[str] = frozenset()
    order_seed: int | None = None
    stepping: Stepping | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Asks to replay the recording of the last job once more, where its first replay has left its traces in the process.

    The answer has the calls side by side only if the replay is not the same: else the answer before it counts.
    """


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job.

    Attributes:
        report: The report, without the recording.
        paths: Paths of recorded operations that the replay names differently, by index.
        is_worn: Whether the replay changed the process, so that no other recording should be replayed in it.
        variants: Replays that were recorded line by line, as JSON values; see `reproduction.Variant`.
    """

    report: ReplayReport
    paths: tuple[tuple[int, str], ...] = ()
    is_worn: bool = False
    variants: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Challenge:
    """Asks a worker, after its answer, whether it still runs.

    Attributes:
        token: What the worker has to send back.
    """

    token: bytes


@dataclass(frozen=True, slots=True)
class DebugJob:
    """What to replay, and with which debugger.

    Attributes:
        start: How to import the handler.
        execution: The recording.
        debugger: `pdb` or `debugpy`.
        port: Where debugpy listens; 0 chooses a free port.
        texts: What the verdict says about each difference, by path.
    """

    start: Start
    execution: RecordedExecution
    debugger: str
    port: int
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DebugReady:
    """The handler is imported and the debugger is there.

    Attributes:
        layers: The layers of isolation that are on.
        port: Where debugpy listens; 0 for pdb.
    """

    layers: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True)
class DebugEnded:
    """The replay in the debugger has ended.

    Attributes:
        outcome: Status that the handler answered; None when it was left before its end.
        calls: How many durable calls it made.
        diverged: Path of the call at which it differed from the recording; None if it did not.
        effects: Side effects that were refused, one line each.
    """

    outcome: str | None
    calls: int
    diverged: str | None
    effects: tuple[str, ...]
