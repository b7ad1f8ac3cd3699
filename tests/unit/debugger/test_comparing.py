"""Differences as rows, and where their marks go."""

from dataclasses import replace
from typing import Any

import pytest

from durable_debugger.model import facts
from durable_debugger.model.diff_rows import DiffRow
from durable_debugger.model.differences import Differences, differences_of, of_report, remark_of
from durable_debugger.model.marks import Marks
from durable_debugger.model.session import Session
from durable_debugger.text.segments import line_width, plain
from durable_debugger.views.diff import DiffMode, diff_line, diff_rows, why_lines
from durable_debugger.views.step import track_lines
from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from durable_execution.comparison.call_tree import CallNode, tree_of
from durable_execution.comparison.comparison import compare
from durable_execution.divergence import DivergenceKind, Severity, Side
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import Replayer
from durable_execution.replay.report import ReplayReport, Verdict
from tests.replay.recording import recorded
from tests.tui.conftest import order_session
from tests.tui.recordings import order_execution, renamed


def differences(recorded: RecordedExecution, replayed: RecordedExecution) -> Differences:
    rows = {operation.id: row for row, operation in enumerate(recorded.operations)}
    return Differences(compare(tree_of(recorded), tree_of(replayed), handler="flow:process_order"), rows)


def compared(session: Session) -> Differences:
    assert session.differences is not None
    return session.differences


def label(session: Session, row: int | None) -> str:
    assert row is not None
    return facts.label(session.operations[row])


def test_a_skipped_call_is_one_root_and_later_calls_follow() -> None:
    session = order_session()
    rows = compared(session).aligned
    assert [label(session, row.row) for row in rows if row.is_root] == ["reserve_courier"]
    assert [label(session, row.row) for row in rows if row.is_follow_on] == [
        "ship_parcel",
        "audit",
        "manager_approval",
    ]
    assert (session.marks.root_count, session.marks.follow_on_count) == (1, 3)


def test_equal_calls_below_a_call_are_folded_away() -> None:
    session = order_session()
    hidden = {label(session, row.row): row.hidden for row in compared(session).aligned}
    assert hidden["notify_all"] == 4
    assert hidden["audit"] == 200
    assert len(compared(session).aligned) == 8


def test_by_position_the_shifted_calls_stand_beside_each_other() -> None:
    pairs = [
        (row.recorded.side.name if row.recorded else None, row.replayed.side.name if row.replayed else None)
        for row in compared(order_session()).by_position
    ]
    assert pairs[4:] == [
        ("reserve_courier", "ship_parcel"),
        ("ship_parcel", "audit"),
        ("audit", "manager_approval"),
        ("manager_approval", None),
    ]


def test_a_new_call_is_marked_on_the_recorded_call_it_comes_before() -> None:
    found = differences(order_execution(with_courier=False), order_execution())
    marks = Marks.of_differences(found)
    execution = order_execution(with_courier=False)
    assert [facts.label(execution.operations[row]) for row in marks.roots] == ["ship_parcel"]
    assert marks.by_row[marks.roots[0]].kind == DivergenceKind.INSERTED


def test_a_renamed_call_keeps_its_place() -> None:
    found = differences(order_execution(), renamed(order_execution(), {"ship_parcel": "send_parcel"}))
    marks = Marks.of_differences(found)
    assert [mark.note for mark in marks.by_row.values()] == ['your code: step "send_parcel"']


def test_the_same_recording_has_no_differences() -> None:
    found = differences(order_execution(), order_execution())
    assert not found.roots
    assert not Marks.of_differences(found).by_row
    assert plain(why_lines(None, None, 80)[0]).strip() == "no differences: both sides make the same calls"


def test_the_nearest_row_of_a_folded_call_is_the_call_around_it() -> None:
    session = order_session()
    item = next(row for row, each in enumerate(session.operations) if each.name == "line-100")
    place = compared(session).index_of(item)
    assert place is not None
    assert label(session, compared(session).aligned[place].row) == "audit"
    assert compared(session).index_of(-5) is None


def test_a_follow_on_is_explained_by_its_root() -> None:
    session = order_session()
    index = next(i for i, row in enumerate(compared(session).aligned) if row.is_follow_on)
    why = compared(session).why(index)
    assert why is not None
    assert why.kind is DivergenceKind.SKIPPED


def test_every_line_of_the_comparison_fits() -> None:
    session = order_session()
    for mode in (DiffMode(), DiffMode(is_with_values=True), DiffMode(is_by_position=True)):
        for row in diff_rows(compared(session), mode):
            for cells in (60, 80, 160):
                assert line_width(diff_line(session, mode, row, cells)) <= cells


def test_nothing_is_cut_beside_cells_that_are_empty() -> None:
    """A long name or file is shown as far as the remark of the row leaves room for it."""
    execution = renamed(order_execution(), {"ship_parcel": "ship_parcel_to_the_customer"})
    session = Session(execution, as_of=None, differences=differences(execution, execution))
    row = next(each for each in compared(session).aligned if "customer" in label(session, each.row))
    text = plain(diff_line(session, DiffMode(), row, 80))
    assert "ship_parcel_to_the_customer" in text
    assert "…" not in text
    assert line_width(diff_line(session, DiffMode(), row, 80)) <= 80


def test_the_explanation_is_whole_and_says_what_to_do_before_what_happens() -> None:
    divergence = next(iter(compared(order_session()).comparison.roots))
    lines = [plain(line) for line in why_lines(divergence, None, 60)]
    words = [line.split()[0] for line in lines if line.startswith(" ") and line[1] != " "]
    assert words[1:6] == ["Recorded", "Replayed", "Likely", "Fix", "Effect"]
    assert max(map(len, lines)) <= 60
    assert not any("…" in line and "id " not in line for line in lines)


def test_a_report_of_a_replay_keeps_its_judgement_and_what_belongs_to_no_row() -> None:
    from dataclasses import replace

    from durable_execution.replay.report import ReplayReport, Verdict

    recorded = order_execution()
    compared = compare(tree_of(recorded), tree_of(order_execution(with_courier=False)), handler="flow:process_order")
    judged = [replace(each, severity=Severity.INFO) for each in compared.divergences]
    elsewhere = replace(judged[0], kind=DivergenceKind.OUTCOME, path="process_order")
    report = ReplayReport("order", "flow", Verdict.SAME, divergences=(*judged, elsewhere), rows=compared.rows)
    rows = {operation.id: row for row, operation in enumerate(recorded.operations)}
    found = Differences(of_report(report), rows)
    assert found.comparison.divergences == (*judged, elsewhere)
    assert found.aligned[-1].divergence is elsewhere
    assert line_width(diff_line(Session(recorded, as_of=None), DiffMode(), found.aligned[-1], 120)) <= 140


def test_a_call_that_the_report_knows_to_be_new_has_a_row_beside_the_recorded_call() -> None:
    """A row shows one call in the place of another; the source showed the report that the recorded one still follows."""
    from dataclasses import replace

    from durable_execution.replay.report import ReplayReport, Verdict

    recorded = order_execution()
    compared = compare(
        tree_of(recorded), tree_of(renamed(order_execution(), {"ship_parcel": "send_parcel"})), handler="flow:f"
    )
    judged = [replace(each, kind=DivergenceKind.INSERTED) for each in compared.divergences]
    report = ReplayReport(
        "order", "flow", Verdict.DIVERGED, divergences=tuple(judged), rows=compared.rows, execution=recorded
    )
    found = differences_of(report, recorded)
    at = found.roots[0]
    new, old = found.aligned[at : at + 2]
    assert (new.recorded, new.replayed.side.name if new.replayed else None) == (None, "send_parcel")
    assert (old.recorded.side.name if old.recorded else None, old.replayed) == ("ship_parcel", None)
    session = Session(recorded, as_of=None, differences=found)
    assert "new in your code" in plain(diff_line(session, DiffMode(), new, 120))
    assert "your code skips" not in plain(diff_line(session, DiffMode(), old, 120))


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.SAME])
def test_a_replay_without_a_verdict_of_same_is_no_success_on_any_view(verdict: Verdict) -> None:
    execution = order_execution()
    report = ReplayReport("order.json", "flow:process_order", verdict, error="the reason", execution=execution)
    session = Session(execution, as_of=None, differences=differences_of(report, execution))
    assert session.headline.glyph == "✗"
    if verdict is not Verdict.EFFECTS:
        assert session.headline.text.endswith(": the reason")


def test_a_replay_that_fails_as_the_recording_did_says_so() -> None:
    report = ReplayReport("order.json", "flow:process_order", Verdict.SAME, error="KeyError: 'sku'", calls=1)
    assert (
        remark_of(report) == "Same: your code makes the 1 call of the recording, and fails as it did: KeyError: 'sku'"
    )


def test_marks_come_from_what_invocations_noticed_themselves() -> None:
    from dataclasses import replace

    execution = order_execution()
    divergence = next(iter(compared(order_session()).comparison.roots))
    traces = (replace(execution.traces[0], divergences=(divergence,)), *execution.traces[1:])
    session = Session(replace(execution, traces=traces), as_of=None)
    assert [facts.label(session.operations[row]) for row in session.marks.roots] == ["reserve_courier"]
    assert session.marks.by_row[session.marks.roots[0]].invocation == 1
    early = next(row for row, one in enumerate(session.operations) if one.name == "ship_parcel")
    assert session.marks.by_row[early].note == "follow-on: now 5, was 6", "what took the place of the skipped call"


def test_the_track_ends_with_what_the_other_side_called() -> None:
    session = order_session()
    session.travel_to_cursor()
    lines, columns = track_lines(session, 1200)
    assert plain(lines[0]).rstrip().endswith("replay  ✓ ✓ ✓ ✓ ≠ ≈ ≈ ≈")
    assert set(columns.values()) <= set(range(len(session.playback)))


def test_a_call_that_is_added_several_times_is_new_each_time() -> None:
    session = order_session()
    added = next(each for each in compared(session).aligned if each.divergence is not None).divergence
    assert added is not None
    replayed = CallNode(Side("STEP", name="check", position=6))
    again = replace(added, kind=DivergenceKind.INSERTED, recorded=None, replayed=replayed.side, is_root=False)
    shown = plain(diff_line(session, DiffMode(), DiffRow(0, None, replayed, again), 80))
    assert "also new in your code" in shown
    assert "now called as" not in shown


@durable_step
def charge(step: StepContext, what: object) -> str:
    return "charged"


async def charged_in_a_loop(_: Any, ctx: DurableContext) -> None:
    for item in (1, 2):
        await ctx.step(charge(item))
    await ctx.step(lambda _: 1, name="ship")


async def charged_once(_: Any, ctx: DurableContext) -> None:
    await ctx.step(charge([1, 2]))
    await ctx.step(lambda _: 1, name="ship")


def test_a_call_in_its_place_says_what_follows_from_the_difference() -> None:
    execution = recorded(charged_in_a_loop, traces=True)
    report = Replayer(durable_execution(charged_once), cause=False).replay(execution)
    rows = {operation.id: row for row, operation in enumerate(execution.operations)}
    found, session = Differences(of_report(report), rows), Session(execution, as_of=None)
    shown = [plain(diff_line(session, DiffMode(), row, 80)) for row in found.aligned]
    assert [line[:5].split()[0] for line in shown] == ["≈", "≠", "≈"]
    assert "different arguments" in shown[0]
    assert "now called as 2" in shown[2]


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (
            ("ab", ""),
            ("a", "b"),
            [
                ("≈", " ", "pack", ""),
                ("≈", "−", "b", 'moved out of "pack"'),
                ("≠", "+", "b", 'moved out of "pack"'),
                ("≈", " ", "ship", ""),
            ],
        ),
        (
            ("a", "b"),
            ("ab", ""),
            [
                (" ", " ", "pack", ""),
                ("≈", "+", "b", 'moved into "pack"'),
                ("≠", "−", "b", 'moved into "pack"'),
                ("≈", " ", "ship", ""),
            ],
        ),
    ],
)
def test_a_moved_call_is_named_at_both_places_and_its_context_is_there_once(
    before: tuple[str, str], after: tuple[str, str], shown: list[tuple[str, str, str, str]]
) -> None:
    def flow_of(inside: str, outside: str) -> Any:
        async def flow(_event: Any, ctx: DurableContext) -> None:
            async def pack(inner: DurableContext) -> str:
                return "".join([await inner.step(lambda _: "x", name) for name in inside])

            await ctx.run_in_child_context(pack, "pack")
            for name in outside:
                await ctx.step(lambda _: None, name)
            await ctx.step(lambda _: None, "ship")

        return flow

    execution = recorded(flow_of(*before))
    report = Replayer(durable_execution(flow_of(*after))).replay(execution)
    session = Session(execution, as_of=None)
    found = differences_of(report, execution)
    compared_session = session.compared(execution, found)
    lines = [plain(diff_line(compared_session, DiffMode(), row, 120)) for row in found.aligned]
    assert len(lines) == len(shown)
    for text, (sign, side, name, remark) in zip(lines, shown, strict=True):
        assert text[1:4:2] == sign + side, text
        assert name in text
        assert remark in text
