"""A fleet as lines: a summary, then a table for each kind of group. An estimate of costs as lines."""

from collections.abc import Iterator

from durable_debugger.model.cost import Bill, CostTerms, Usage, dollars
from durable_debugger.model.facts import state_of
from durable_debugger.model.fleet_facts import Facts
from durable_debugger.model.fleet_groups import TITLES, Fleet, Group, breaking
from durable_debugger.text import durations
from durable_debugger.text.cells import pad, pad_left, safe
from durable_debugger.text.payloads import size
from durable_debugger.text.segments import Line, Part
from durable_execution.counts import counted

SHOWN = 12
"""Groups of one kind that are shown."""

HEAD = (
    f" {pad_left('count', 7)} {pad_left('share', 6)}  {pad('first', 16)} {pad('last', 16)} "
    f"{pad_left('p50', 8)} {pad_left('p90', 8)} {pad_left('p99', 8)} {pad_left('cost', 9)} {pad_left('replayed', 8)}"
)
EXPLAINED = {
    "shapes": "which calls they made",
    "failures": "error, call and message, with ids folded",
    "waiting": "what open executions wait for",
    "versions": "version of the function",
    "divergences": "where the code leaves their recordings",
}


def summary_lines(fleet: Fleet, terms: CostTerms) -> Iterator[Line]:
    """How many executions, in which states, and what a handler would do to them."""
    count = len(fleet.executions)
    yield [Part(counted(count, "execution"), "title"), Part(f"  {safe(fleet.source)}", "dim")]
    statuses: Line = [Part(" ")]
    for status, number in fleet.statuses().items():
        state = state_of(status)
        statuses.append(Part(f" {state.glyph} {number:,} {status}", state.role))
    yield statuses
    yield [
        Part(
            f"  cost is an estimate, at the prices of {terms.prices.date} for {terms.prices.region} and {terms.memory_mb} MB",
            "dim",
        )
    ]
    if fleet.replayed is not None:
        yield [verdict_part(fleet)]
    if fleet.is_partial:
        yield [Part("  interrupted: these are the executions read so far", "warning")]


def verdict_part(fleet: Fleet) -> Part:
    """What the replays found, in one sentence."""
    found = breaking(fleet)
    running = sum(one.status not in ("SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED") for one in fleet.executions)
    groups = [group for group in fleet.groups["divergences"] if any(one in found for one in group.members)]
    if not found:
        differing = sum(group.count for group in fleet.groups["divergences"])
        ended = f"; {counted(differing, 'ended one')} would differ" if differing else ""
        return Part(
            f"  none of {counted(running, 'open execution')} would break{ended}", "warning" if differing else "ok"
        )
    where = (
        f", all at {groups[0].key.partition(' at ')[2]}"
        if len(groups) == 1
        else f", at {counted(len(groups), 'place')}"
    )
    return Part(f"  {len(found):,} of {counted(running, 'open execution')} would break{safe(where)}", "fail")


def table_lines(fleet: Fleet, kind: str, terms: CostTerms, *, shown: int = SHOWN) -> Iterator[Line]:
    """The groups of one kind; nothing if there are none."""
    groups = fleet.groups.get(kind, ())
    if not groups:
        return
    yield []
    yield [Part(TITLES[kind], "title"), Part(f"  {EXPLAINED[kind]}", "dim")]
    yield [Part(HEAD, "key")]
    for group in groups[:shown]:
        yield group_line(group, len(fleet.executions), terms)
        yield [Part(" " * 9), Part(safe(group.key), "name")]
        if group.leaves:
            yield [Part(" " * 9), Part(safe(group.leaves), "wait")]
        yield [Part(" " * 9), Part(f"for example {safe(group.example.reference)}", "dim")]
    if len(groups) > shown:
        rest = sum(group.count for group in groups[shown:])
        yield [Part(f" and {counted(len(groups) - shown, 'more group')} with {counted(rest, 'execution')}", "dim")]


def group_line(group: Group, total: int, terms: CostTerms) -> Line:
    """One group: count, share, times, durations and costs."""
    share = f"{100 * group.count / total:.1f}%" if total else ""
    usage = group.usage()
    quantiles = [durations.short(each) for each in group.quantiles()] or ["", "", ""]
    return [
        Part(f" {pad_left(f'{group.count:,}', 7)} {pad_left(share, 6)}  "),
        Part(f"{pad(_day(group.first), 16)} {pad(_day(group.last), 16)} ", "dim"),
        Part(" ".join(pad_left(each, 8) for each in quantiles)),
        Part(f" {pad_left(dollars(terms.total(usage)), 9)} {pad_left(f'{usage.replayed_share:.0%}', 8)}", "dim"),
    ]


def _day(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment is not None else ""


def cost_lines(usage: Usage, bill: Bill, terms: CostTerms) -> Iterator[Line]:
    """The estimate, one line per item."""
    prices = terms.prices
    yield [
        Part(f"Estimate {dollars(bill.total)}", "title"),
        Part(
            f"  at the prices of {prices.date} for {prices.region}; without free tier, discounts and other services",
            "dim",
        ),
    ]
    rows = (
        (
            counted(usage.billed_operations, "operation"),
            f"${prices.per_million_operations:f} per million",
            bill.operations,
        ),
        (f"{size(usage.bytes_written)} written", f"${prices.per_gb_written:f} per GB", bill.data),
        (
            f"kept, then {counted(terms.retention_days, 'day')}",
            f"${prices.per_gb_month_retained:f} per GB and month",
            bill.retention,
        ),
        (counted(usage.invocations, "invocation"), f"${prices.per_million_requests:f} per million", bill.requests),
        (
            f"{usage.seconds:,.3f} s with {terms.memory_mb} MB",
            f"${prices.per_gb_second:f} per GB and second",
            bill.duration,
        ),
    )
    for used, price, amount in rows:
        yield [Part(f"  {pad(used, 26)} ", "name"), Part(pad(price, 36), "dim"), Part(pad_left(dollars(amount), 12))]
    yield [Part(f"  {usage.replayed_share:.0%} of the calls of all invocations were replays", "dim")]


def member_line(one: Facts) -> Line:
    """One execution of a group."""
    state = state_of(one.status)
    started = f"{one.started_at:%Y-%m-%d %H:%M:%S}" if one.started_at else ""
    why = " ".join(part for part in one.failure if part) or one.waits
    return [
        Part(f" {state.glyph} {one.status:<10} ", state.role),
        Part(pad(safe(one.name), 30) + " ", "name"),
        Part(pad(started, 20), "dim"),
        Part(pad_left(durations.short(one.seconds), 8) + "  "),
        Part(safe(why)),
    ]
