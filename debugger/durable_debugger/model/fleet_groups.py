"""Groups the executions of a fleet: by shape, by failure, by where they wait, by version, and by root divergence."""

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from durable_debugger.model.cost import CostTerms, Usage
from durable_debugger.model.fleet_facts import OPEN, Facts, folded_path
from durable_execution.divergence import Divergence
from durable_execution.replay.report import ReplayReport, Verdict

QUANTILES = (0.5, 0.9, 0.99)
KINDS = ("shapes", "failures", "waiting", "versions", "divergences")
TITLES = {
    "shapes": "Shapes",
    "failures": "Failures",
    "waiting": "Waiting",
    "versions": "Versions",
    "divergences": "Divergences",
}


@dataclass(slots=True)
class Group:
    """Executions that have something in common.

    Attributes:
        key: What they have in common, in one line.
        members: The executions, in the order they were read.
        leaves: The first call at which they leave the shape of the majority; empty for the majority, and where it does
            not apply.
    """

    key: str
    members: list[Facts] = field(default_factory=list)
    leaves: str = ""

    @property
    def count(self) -> int:
        """Number of executions."""
        return len(self.members)

    @property
    def first(self) -> datetime | None:
        """When the first of them started."""
        return min(_starts(self.members), default=None)

    @property
    def last(self) -> datetime | None:
        """When the last of them started."""
        return max(_starts(self.members), default=None)

    @property
    def example(self) -> Facts:
        """The latest of them."""
        return max(self.members, key=lambda one: one.started_at.timestamp() if one.started_at else 0.0)

    def quantiles(self) -> tuple[float, ...]:
        """Median, 90th and 99th percentile of the durations of those that ended, in seconds; empty if none has."""
        durations: list[float] = []
        for one in self.members:
            if one.seconds is not None:
                insort(durations, one.seconds)
        if not durations:
            return ()
        return tuple(durations[min(len(durations) - 1, int(share * len(durations)))] for share in QUANTILES)

    def usage(self) -> Usage:
        """What they used together."""
        total = Usage()
        for one in self.members:
            total.add(one.usage)
        return total


@dataclass(slots=True)
class Fleet:
    """The executions of a function, a folder or a store, in groups.

    Attributes:
        source: Where they were read, in words.
        executions: All of them.
        groups: The groups by kind (see `KINDS`), largest first.
        unreadable: What could not be read, with the reason.
        is_partial: Whether the reading was interrupted.
        replayed: How many were replayed against a handler; None without one.
        problems: Replays that gave no answer, with the reason.
    """

    source: str
    executions: list[Facts]
    groups: dict[str, list[Group]]
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    is_partial: bool = False
    replayed: int | None = None
    problems: list[tuple[str, str]] = field(default_factory=list)

    def statuses(self) -> dict[str, int]:
        """Number of executions by status, most frequent first."""
        found: dict[str, int] = {}
        for one in self.executions:
            found[one.status] = found.get(one.status, 0) + 1
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def fleet_of(source: str, executions: Sequence[Facts]) -> Fleet:
    """Group executions."""
    shapes = _grouped(executions, lambda one: shape_text(one.shape))
    _mark_leaving(shapes)
    groups = {
        "shapes": shapes,
        "failures": _grouped((one for one in executions if one.failure[0]), _failure_text),
        "waiting": _grouped((one for one in executions if one.status in OPEN), lambda one: one.waits),
        "versions": _grouped(executions, lambda one: one.version or "unknown"),
    }
    return Fleet(source, list(executions), groups)


def add_divergences(fleet: Fleet, reports: Iterable[tuple[Facts, ReplayReport]]) -> None:
    """Group the executions of a fleet by the root difference of their replay."""
    found: dict[str, Group] = {}
    fleet.replayed = 0
    for facts, report in reports:
        fleet.replayed += report.verdict not in (Verdict.UNREADABLE, Verdict.NO_HANDLER)
        root = report.root
        if root is not None and not report.is_same:
            key = _divergence_text(root)
            found.setdefault(key, Group(key)).members.append(facts)
        elif not report.is_same:
            fleet.problems.append((facts.reference, report.error or report.verdict.value))
    fleet.groups["divergences"] = sorted(found.values(), key=lambda group: -group.count)


def breaking(fleet: Fleet) -> list[Facts]:
    """The open executions that would break."""
    return [one for group in fleet.groups.get("divergences", ()) for one in group.members if one.status in OPEN]


def _divergence_text(root: Divergence) -> str:
    side = root.replayed or root.recorded
    site = side.call_site if side is not None else None
    where = f", {site.file.rpartition('/')[2]}:{site.line}" if site is not None else ""
    return f"{root.kind.value.replace('_', ' ')} at {folded_path(root.path)}{where}"


def shape_text(shape: Sequence[str]) -> str:
    """A shape in one line: the names of its calls, indented ones in parentheses."""
    text, depth = "", 0
    for label in shape:
        here = label.count("/")
        name = label.rpartition("/")[2]
        if here > depth:
            text += "(" * (here - depth)
        elif here < depth:
            text += ")" * (depth - here) + ", "
        elif text:
            text += ", "
        text, depth = text + name, here
    return text + ")" * depth or "no calls"


def _failure_text(one: Facts) -> str:
    kind, place, message = one.failure
    return f"{kind}{f' at {place}' if place else ''}{f': {message}' if message else ''}"


def _grouped(executions: Iterable[Facts], key: Callable[[Facts], str]) -> list[Group]:
    found: dict[str, Group] = {}
    for one in executions:
        text = key(one)
        group = found.get(text)
        if group is None:
            group = found[text] = Group(text)
        group.members.append(one)
    return sorted(found.values(), key=lambda group: (-group.count, group.key))


def _mark_leaving(shapes: Sequence[Group]) -> None:
    """Say of each shape at which call it leaves that of the majority."""
    if not shapes:
        return
    most = shapes[0].members[0].shape
    for group in shapes[1:]:
        shape = group.members[0].shape
        same = 0
        while same < min(len(most), len(shape)) and most[same] == shape[same]:
            same += 1
        if same < len(shape):
            group.leaves = f"calls {shape[same]}" + (
                f" in place of {most[same]}" if same < len(most) else " at the end"
            )
        else:
            group.leaves = f"ends before {most[same]}" if same < len(most) else ""


def _starts(members: Iterable[Facts]) -> Iterable[datetime]:
    return (one.started_at for one in members if one.started_at is not None)


def fleet_report(fleet: Fleet, terms: CostTerms) -> dict[str, Any]:
    """A fleet as JSON-ready values."""
    total = len(fleet.executions)
    return {
        "schema": "durable-fleet",
        "version": 1,
        "source": fleet.source,
        "executions": total,
        "is_partial": fleet.is_partial,
        "statuses": fleet.statuses(),
        "replayed": fleet.replayed,
        "would_break": len(breaking(fleet)),
        "cost_estimate": {
            "total_usd": f"{terms.total(_usage(fleet.executions)):f}",
            "prices_of": terms.prices.date,
            "region": terms.prices.region,
            "memory_mb": terms.memory_mb,
            "retention_days": terms.retention_days,
        },
        "groups": {
            kind: [_group_report(group, total, terms) for group in fleet.groups.get(kind, ())] for kind in KINDS
        },
        "unreadable": [{"reference": reference, "reason": reason} for reference, reason in fleet.unreadable],
        "problems": [{"reference": reference, "reason": reason} for reference, reason in fleet.problems],
    }


def _usage(executions: Iterable[Facts]) -> Usage:
    total = Usage()
    for one in executions:
        total.add(one.usage)
    return total


def _group_report(group: Group, total: int, terms: CostTerms) -> Mapping[str, Any]:
    usage = group.usage()
    return {
        "key": group.key,
        "count": group.count,
        "share": round(group.count / total, 4) if total else 0.0,
        "leaves_majority": group.leaves or None,
        "first": _iso(group.first),
        "last": _iso(group.last),
        "seconds": dict(zip(("p50", "p90", "p99"), group.quantiles(), strict=False)),
        "operations": usage.operations,
        "invocations": usage.invocations,
        "bytes_written": usage.bytes_written,
        "replayed_share": round(usage.replayed_share, 4),
        "cost_estimate_usd": f"{terms.total(usage):f}",
        "example": group.example.reference,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
