"""Folding idle time, and the critical path."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_debugger.model.session import Session
from durable_debugger.model.timebase import Timebase, busy_times, critical_path, longest
from durable_debugger.text.segments import line_width, plain
from durable_debugger.views.timeline import Chart, axis_line, timeline_line
from tests.tui.conftest import order_session
from tests.tui.recordings import big_execution, order_execution, tree_execution

SPANS = st.lists(
    st.tuples(st.floats(0, 1e6), st.floats(0, 1e4)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=30
)


@given(SPANS, st.integers(1, 200), st.booleans())
def test_time_runs_from_left_to_right_within_the_axis(
    busy: list[tuple[float, float]], cells: int, is_folding: bool
) -> None:
    end = max((stop for _, stop in busy), default=10.0)
    base = Timebase(busy, end, cells, is_folding=is_folding)
    points = sorted({0.0, end, *(each for span in busy for each in span)})
    columns = [base.column(point) for point in points]
    assert all(before <= after + 1e-6 for before, after in pairwise(columns))
    assert columns[0] >= 0
    assert columns[-1] <= cells + 1e-6


@given(SPANS, st.integers(20, 200))
def test_the_stretches_fill_the_axis(busy: list[tuple[float, float]], cells: int) -> None:
    base = Timebase(busy, max((stop for _, stop in busy), default=10.0), cells)
    assert abs(sum(stretch.cells for stretch in base.stretches) - cells) < 1e-6


def test_a_day_of_waiting_takes_a_few_cells_and_the_work_the_rest() -> None:
    base = Timebase([(0, 5), (86_400, 86_405)], 86_405, 80)
    assert base.column(5) > 30
    assert base.column(86_400) - base.column(5) == 13
    assert base.idle == 86_395


@pytest.mark.parametrize("last", [[604_800], [259_200, 604_800]])
def test_long_waiting_is_folded_where_all_work_took_no_time(last: list[int]) -> None:
    """A clock that skips records invocations without a duration: days of waiting flattened the seconds before them."""
    times = [0, 1, 3, 6, *last]
    base = Timebase([(at, at) for at in times], times[-1], 60)
    columns = [base.column(at) for at in times]
    assert all(later - earlier > 3 for earlier, later in pairwise(columns)), columns
    assert base.idle == times[-1] - 6
    assert Timebase([(at, at) for at in times[:4]], 6, 60).idle == 0, "seconds beside seconds are to scale"


def test_zooming_keeps_the_selected_call_in_its_place() -> None:
    session = order_session()
    session.select(next(row for row, each in enumerate(session.operations) if each.name == "charge_card"))
    chart, origin = Chart(), session.execution.started_at
    axis_line(session, chart, 100)
    assert origin is not None
    began = session.operations[session.cursor].started_at
    assert began is not None
    start = (began - origin).total_seconds()

    def place() -> float:
        axis_line(session, chart, 100)
        assert chart._key is not None
        return chart.base(session, chart._key[1]).column(start) - chart.pan

    before = place()
    for factor in (2.0, 2.0, 2.0, 0.5, 0.5, 0.5):
        chart.zoom_by(session, factor)
        assert abs(place() - before) < 3, "it may move by a cell where its column is rounded"
    assert (chart.zoom, chart.pan) == (1.0, 0)


def test_short_pauses_are_not_folded() -> None:
    assert not any(stretch.is_folded for stretch in Timebase([(0, 5), (5.2, 10)], 10, 80).stretches)


def test_work_is_what_invocations_did_and_attempts_where_they_are_not_timed() -> None:
    assert busy_times(order_execution(), 41.2) == [(0.0, 8.6), (38.6, 41.2)]
    assert busy_times(tree_execution([0, 0]), 1.0) == []


def test_the_critical_path_follows_what_ended_last() -> None:
    execution = order_execution()
    path = critical_path(execution.operations)
    names = [execution.operations[row].name for row in longest(path, execution.operations, 3)]
    assert names == ["charge_card", "send", "ship_parcel"]
    assert critical_path(()) == []


def test_every_row_of_the_timeline_has_the_width_of_the_pane() -> None:
    for session in (
        order_session(),
        Session(tree_execution([0, 1, 2]), as_of=None),
        Session(tree_execution([]), as_of=None),
    ):
        for chart in (Chart(), Chart(zoom=4.0, pan=30, is_folding=False, is_critical=True), Chart(has_labels=False)):
            for cells in (40, 80, 133):
                assert line_width(axis_line(session, chart, cells)) <= cells
                for row in session.outline.visible:
                    assert line_width(timeline_line(session, chart, row, cells)) == cells


def test_bars_show_attempts_gaps_and_waits() -> None:
    session = order_session()
    bars = {
        plain(timeline_line(session, Chart(), row, 100))[:30].split()[1]: row for row in session.outline.visible[1:]
    }
    assert len(bars) > 5
    charge = plain(timeline_line(session, Chart(), session.rows[session.operations[1].id], 120))
    assert "█·" in charge
    waiting = next(row for row, each in enumerate(session.operations) if each.name == "manager_approval")
    assert "░" in plain(timeline_line(session, Chart(), waiting, 120))


def test_a_big_execution_has_a_critical_path_too() -> None:
    assert len(critical_path(big_execution(2_000).operations)) > 100
