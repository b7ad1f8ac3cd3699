"""One difference between the recorded and the replayed side, and its explanation in five lines.

The exception, the span event, the replay trace, the command line's report, pytest's output and the debugger all show
this value, so that they agree.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, overload

from durable_execution.call_site import CallSite
from durable_execution.counts import counted
from durable_execution.protocol import OperationSubType
from durable_execution.protocol.ids import kind_of, root_path
from durable_execution.redaction import redacted

MAX_NAME_SHOWN = 80
SHORT_ID = 8

NONDETERMINISM = "NondeterminismError"
"""Type of the error that ends a diverged execution, without its module."""

LINE = re.compile(r"^ {2}(recorded|replayed|likely|effect|fix) +(.*)$")


class DivergenceKind(StrEnum):
    """The kind of a difference."""

    SKIPPED = "skipped"
    INSERTED = "inserted"
    CHANGED_KIND = "changed_kind"
    RENAMED = "renamed"
    REORDERED = "reordered"
    BRANCH_COUNT = "branch_count"
    CONFIGURATION = "configuration"
    INPUT = "input"
    RESULT = "result"
    UNFINISHED = "unfinished"
    OUTCOME = "outcome"
    CODE_CHANGED = "code_changed"


class Severity(StrEnum):
    """How serious a difference is: an error breaks the execution, a warning makes a recorded value stale, info changes nothing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


TITLES = {
    DivergenceKind.SKIPPED: "SKIPPED CALL",
    DivergenceKind.INSERTED: "NEW CALL",
    DivergenceKind.CHANGED_KIND: "CHANGED KIND",
    DivergenceKind.RENAMED: "RENAMED",
    DivergenceKind.REORDERED: "REORDERED",
    DivergenceKind.BRANCH_COUNT: "BRANCH COUNT",
    DivergenceKind.CONFIGURATION: "ARGUMENTS",
    DivergenceKind.INPUT: "ARGUMENTS",
    DivergenceKind.RESULT: "RESULT",
    DivergenceKind.UNFINISHED: "UNFINISHED",
    DivergenceKind.OUTCOME: "OUTCOME",
    DivergenceKind.CODE_CHANGED: "CODE CHANGED",
}
MOVED = "MOVED CALL"


@dataclass(frozen=True, slots=True)
class Side:
    """The recorded or the replayed side of a difference.

    Attributes:
        type: STEP, WAIT, …
        subtype: `Step`, `Map`, … or a subtype that the user chose.
        name: Name of the call; None when unnamed.
        id: Operation id.
        position: Call number in its context, from 1.
        status: The recorded status; None on the replayed side.
        invocation: Number of the invocation that recorded it; None where unknown.
        call_site: Where the user's code made the call; None where that was not recorded.
        configuration: Arguments of the call: `wait_seconds`, `function_name`, `branches`, …
        detail: Text to show instead of the call, for example a value.
        path: Readable path of the call on this side.
        value: The whole value that differs, of which `detail` shows the text around the first difference.
    """

    type: str
    subtype: str | None = None
    name: str | None = None
    id: str | None = None
    position: int | None = None
    status: str | None = None
    invocation: int | None = None
    call_site: CallSite | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    detail: str | None = None
    path: str | None = None
    value: str | None = None

    @property
    def label(self) -> str:
        """The call in a few words: `step "charge"`, `wait "cool_down" 30 s`, `map "audit" 200 items`."""
        words = [kind_of(self.type, self.subtype).replace("_", " ")]
        words += [quoted(self.name)] if self.name else ["(unnamed)"]
        wait = self.configuration.get("wait_seconds")
        words += [f"{wait} s"] if wait is not None else []
        words += [self.extent] if self.extent else []
        function = self.configuration.get("function_name")
        words += [f"of {quoted(str(function))}"] if function else []
        return " ".join(words)

    @property
    def shown(self) -> str:
        """The detail, or else the label, without secrets."""
        return _shown(self.detail) or self.label

    @property
    def extent(self) -> str:
        """Over how many items or branches the call runs: `3 branches`; empty for a call that has none."""
        branches = self.configuration.get("branches")
        one, several = ("item", "items") if self.subtype == "Map" else ("branch", "branches")
        return counted(branches, one, several) if branches is not None else ""

    @property
    def short_name(self) -> str:
        """The name in quotes, or `the step` for an unnamed step."""
        return quoted(self.name) if self.name else f"the {kind_of(self.type, self.subtype).replace('_', ' ')}"

    def to_wire(self) -> dict[str, Any]:
        """Return the members that are set, JSON-ready."""
        wire = {
            "type": self.type,
            "subtype": self.subtype,
            "name": self.name,
            "id": self.id,
            "position": self.position,
            "status": self.status,
            "invocation": self.invocation,
            "call_site": self.call_site._asdict() if self.call_site else None,
            "configuration": dict(self.configuration) or None,
            "detail": _shown(self.detail),
            "path": self.path,
            "value": _shown(self.value),
        }
        return {key: value for key, value in wire.items() if value is not None}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Side":
        """Read what `to_wire` wrote."""
        site = wire.get("call_site")
        known = {
            key: wire[key]
            for key in ("subtype", "name", "id", "position", "status", "invocation", "detail", "path", "value")
            if key in wire
        }
        return cls(
            type=wire["type"],
            call_site=CallSite(site["file"], site["line"], site["function"]) if site else None,
            configuration=wire.get("configuration") or {},
            **known,
        )


class Evidence(StrEnum):
    """How a cause is known, best first.

    REPRODUCED: two replays of today's code make different calls, and the difference was followed back to this line.
    OBSERVED: the line read a source that varies, and the call depends on it.
    CHANGED: the line differs from the recorded source.
    POSSIBLE: the line could vary; nothing shows that it did.
    """

    REPRODUCED = "reproduced"
    OBSERVED = "observed"
    CHANGED = "changed"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Cause:
    """The line that makes code differ from its recording.

    Attributes:
        evidence: How it is known.
        file: Its file.
        line: The line, from 1.
        text: What the line does, with its place.
        fix: What to write instead.
        is_from_source: Whether the linter found it: no replay can refute it.
        edit: What an edit did: it added the call before the recorded one, moved the recorded one, or renamed it.
    """

    evidence: Evidence
    file: str
    line: int
    text: str
    fix: str
    is_from_source: bool = False
    edit: Literal["added", "moved", "renamed"] | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.evidence})"

    def to_wire(self) -> dict[str, Any]:
        """Return what `from_wire` reads, as JSON values."""
        shown = {name: getattr(self, name) for name in ("file", "line", "text", "fix")}
        return {"evidence": self.evidence.value, **shown}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Cause":
        """Read what `to_wire` wrote."""
        return cls(Evidence(wire["evidence"]), wire["file"], wire["line"], wire["text"], wire["fix"])


ENDED_WORDS = {"succeeded": "succeeded", "failed": "failed", "timed_out": "timed out", "stopped": "was stopped"}
"""How an execution ended, as a verb."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """One difference between the recorded and the replayed side.

    Attributes:
        kind: Kind of the difference.
        severity: How serious it is.
        handler: `module:qualname` of the handler, or another name of the workflow.
        path: Path of the call, on the side that has it.
        context_path: Path of the context it was found in.
        position: Call number in that context, where known.
        recorded: The recorded call; None when nothing is recorded there.
        replayed: The replayed call; None when the code made no call there.
        likely: The likely cause; None when it is unknown.
        effect: What happens if the execution resumes with this code.
        fix: What to change in the code.
        is_root: Whether it is a cause; False when it follows from an earlier difference in the same context.
        follow_on: Number of differences in the same context that follow from it.
        suspects: `file:line: what` of nondeterministic reads observed before it, nearest first.
        cause: The line that makes the difference, with its evidence; None when it was not found. `likely` and `fix` say the
            same in words.
        moved: Where a call went that is made in a different context than recorded, as a sentence; None for any other difference.
    """

    kind: DivergenceKind
    severity: Severity
    handler: str
    path: str
    context_path: str
    position: int | None
    recorded: Side | None
    replayed: Side | None
    effect: str
    fix: str
    likely: str | None = None
    is_root: bool = True
    follow_on: int = 0
    suspects: tuple[str, ...] = ()
    cause: Cause | None = None
    moved: str | None = None

    def __post_init__(self) -> None:
        """Show long names that differ where they are cut in a way that shows the difference."""
        left, right = self.recorded, self.replayed
        if left is None or right is None or left.name == right.name or not (left.name and right.name):
            return
        if left.detail is None and right.detail is None and left.label == right.label:
            names = readable_pair(left.name, right.name, limit=MAX_NAME_SHOWN)
            for word, side, name in zip(("recorded", "replayed"), (left, right), names, strict=True):
                shown = side.label.replace(quoted(side.name), f'"{name}"', 1)
                object.__setattr__(self, word, replace(side, detail=shown))

    @property
    def title(self) -> str:
        """The kind as a heading: `SKIPPED CALL`."""
        return MOVED if self.moved else TITLES[self.kind]

    @property
    def call_sites(self) -> tuple[CallSite, ...]:
        """Call sites of both sides, recorded side first."""
        return tuple(side.call_site for side in (self.recorded, self.replayed) if side and side.call_site)

    @property
    def headline(self) -> str:
        """Place and kind in one line."""
        where = f" at call {self.position}" if self.position is not None else ""
        return f"Nondeterminism in {readable(self.context_path)}{where}: {self.kind}"

    @property
    def is_permutation(self) -> bool:
        """Whether the items of one map come in a different order."""
        recorded, replayed = self.recorded, self.replayed
        if self.kind is not DivergenceKind.REORDERED or recorded is None or replayed is None:
            return False
        return recorded.subtype == OperationSubType.MAP and (recorded.id, recorded.name) == (replayed.id, replayed.name)

    @property
    def has_evidence(self) -> bool:
        """Whether the cause is more than a suspicion, so that other suspects would only distract from it."""
        return self.cause is not None and self.cause.evidence is not Evidence.POSSIBLE

    @property
    def where(self) -> str:
        """The call in its context, for a sentence: ` at call 3 of ship/map-item-0`; empty for the execution itself."""
        at = f" at call {self.position}" if self.position is not None else ""
        context = self.context_path.partition("/")[2]
        return f"{at} of {readable(context)}" if at and context else at

    @property
    def sentence(self) -> str:
        """What differs, in one clause: `your code calls step "audit", the recording has wait "pause"`."""
        return _shown(self.moved) or self._difference()

    def _difference(self) -> str:
        recorded, replayed = _what(self.recorded), _what(self.replayed)
        match self.kind:
            case DivergenceKind.SKIPPED:
                return f"your code skips the recorded {recorded}" + (f" and calls {replayed}" if replayed else "")
            case DivergenceKind.REORDERED if self.is_permutation:
                name = self.recorded.short_name if self.recorded is not None else "the map"
                return f"your code gives {name} its items in a different order than recorded"
            case DivergenceKind.REORDERED:
                return f"your code calls {replayed or recorded} in a different order: the recording has {recorded} here"
            case DivergenceKind.BRANCH_COUNT:
                if self.replayed and self.recorded and self.recorded.extent:
                    replayed = f"{self.replayed.short_name} with {self.replayed.extent}"
                    recorded = self.recorded.extent
                return f"your code runs {replayed}, the recording has {recorded}"
            case DivergenceKind.OUTCOME:
                ended = ENDED_WORDS.get(recorded)
                was = f"recorded execution {ended}" if ended else f"recording ended with {recorded}"
                return f"the {was}, your code {'' if ended else 'with '}{replayed}"
            case DivergenceKind.RESULT:
                return f"your code returns {replayed}, the recording has {recorded}"
            case DivergenceKind.UNFINISHED:
                return f"{recorded} in the recording, your code is {replayed}"
            case _:
                there = f"the recording has {recorded}" if recorded else "the recording has no call here"
                given = _given(self.replayed) if self.kind is DivergenceKind.INPUT else ""
                return given or (f"your code calls {replayed}, {there}" if replayed else there)

    def to_wire(self) -> dict[str, Any]:
        """Return all members, JSON-ready."""
        return {
            "kind": self.kind.value,
            "severity": self.severity.value,
            "handler": self.handler,
            "path": self.path,
            "context_path": self.context_path,
            "position": self.position,
            "recorded": self.recorded.to_wire() if self.recorded else None,
            "replayed": self.replayed.to_wire() if self.replayed else None,
            "likely": _shown(self.likely),
            "effect": _shown(self.effect),
            "fix": _shown(self.fix),
            "is_root": self.is_root,
            "follow_on": self.follow_on,
            "suspects": list(self.suspects),
            "cause": self.cause.to_wire() if self.cause else None,
            "moved": _shown(self.moved),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Divergence":
        """Read what `to_wire` wrote.

        Raises:
            KeyError, ValueError, TypeError: The object was not written by `to_wire`.
        """
        recorded, replayed = wire.get("recorded"), wire.get("replayed")
        return cls(
            kind=DivergenceKind(wire["kind"]),
            severity=Severity(wire["severity"]),
            handler=wire.get("handler") or root_path(wire["path"]),
            path=wire["path"],
            context_path=wire["context_path"],
            position=wire.get("position"),
            recorded=Side.from_wire(recorded) if recorded else None,
            replayed=Side.from_wire(replayed) if replayed else None,
            likely=wire.get("likely"),
            effect=wire["effect"],
            fix=wire["fix"],
            is_root=wire.get("is_root", True),
            follow_on=wire.get("follow_on", 0),
            suspects=tuple(wire.get("suspects") or ()),
            cause=Cause.from_wire(wire["cause"]) if wire.get("cause") else None,
            moved=wire.get("moved"),
        )


def explain(divergence: Divergence) -> str:
    """Return the headline and the five lines: recorded, replayed, likely, effect, fix."""
    lines = explanation(divergence)
    return "\n".join([divergence.headline, *(f"  {word:<10} {line}" for word, line in lines)])


def shortened(text: str) -> str:
    """Return the headline and the two calls of a text that `explain` wrote, on one line."""
    first, *rest = text.splitlines() or [""]
    lines = lines_of(rest)
    return "; ".join([first, *(f"{word} {call_of(lines[word])}" for word in ("recorded", "replayed") if word in lines)])


def lines_of(lines: Iterable[str]) -> dict[str, str]:
    """Return the five lines of a text that `explain` wrote, by label."""
    return {match[1]: match[2] for match in map(LINE.match, lines) if match is not None}


def call_of(line: str) -> str:
    """Return the call in a recorded or replayed line, without its id and call site."""
    return line.partition("  ")[0].rstrip()


def explanation(divergence: Divergence) -> tuple[tuple[str, str], ...]:
    """Return the five lines as pairs of label and text, for callers with a layout of their own."""
    return (
        ("recorded", _shown(_recorded_line(divergence))),
        ("replayed", _shown(_replayed_line(divergence))),
        ("likely", _shown(divergence.likely) or "unknown"),
        ("effect", _shown(divergence.effect)),
        ("fix", _shown(divergence.fix)),
    )


def _what(side: Side | None) -> str:
    return _shown(side.detail or side.label) if side is not None else ""


def _given(side: Side | None) -> str:
    """Say which of its arguments or items a call is given differently; empty where the detail does not."""
    given = side.shown.removeprefix(f"{side.label}, ") if side is not None else ""
    is_said = side is not None and given != side.shown and "different" in given
    return f"your code calls {side.label} with {given} than recorded" if side is not None and is_said else ""


def quoted(name: str | None) -> str:
    """Return a name in quotes that is safe to show: one line, no control characters, bounded length."""
    return f'"{readable(name or "", limit=MAX_NAME_SHOWN)}"'


def readable(value: str, *, limit: int = 400) -> str:
    """Return text with control characters escaped and the middle of long text left out."""
    shown = _escaped(value[: limit * 2 + 1])
    if len(shown) <= limit and len(value) <= limit:
        return shown
    return f"{shown[: limit // 2]}…{_escaped(value[-limit // 4 :])[-limit // 4 :]}"


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def readable_pair(left: str, right: str, *, limit: int = 400) -> tuple[str, str]:
    """Return two texts that differ, each bounded and safe to show, so that both show where they first differ."""
    if max(len(left), len(right)) <= limit:
        return readable(left, limit=limit), readable(right, limit=limit)
    start = max(0, common_start(left, right) - limit // 3)
    return _window(left, start, start + limit - 2), _window(right, start, start + limit - 2)


def common_start(left: str, right: str) -> int:
    """Return with how many equal characters two texts start."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _window(text: str, start: int, end: int) -> str:
    middle = _escaped(text[start:end])
    return f"{'…' if start else ''}{middle}{'…' if end < len(text) else ''}"


@overload
def _shown(text: str) -> str: ...
@overload
def _shown(text: str | None) -> str | None: ...
def _shown(text: str | None) -> str | None:
    """The text without secrets: it may describe recorded and replayed values."""
    return redacted(text) if text else text


def _recorded_line(divergence: Divergence) -> str:
    side = divergence.recorded
    if side is None:
        return "nothing: this call is not recorded"
    parts = [f"{side.detail or side.label:<22}"]
    parts += [f"id {side.id[:SHORT_ID]}…"] if side.id else []
    facts = [f"invocation {side.invocation}"] if side.invocation is not None else []
    facts += [side.status] if side.status else []
    parts += [", ".join(facts)] if facts else []
    parts += [readable(str(side.call_site))] if side.call_site else []
    return "  ".join(parts).rstrip()


def _replayed_line(divergence: Divergence) -> str:
    side = divergence.replayed
    if side is None:
        return f"nothing: {readable(divergence.context_path)} did not make this call"
    parts = [f"{side.detail or side.label:<22}"]
    parts += [readable(str(side.call_site))] if side.call_site else []
    return "  ".join(parts).rstrip()
