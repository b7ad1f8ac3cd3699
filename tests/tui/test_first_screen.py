"""The first screen of twelve broken executions: what differs or failed, why, where, and what to write, with no key pressed."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model import facts
from durable_debugger.model.differences import Differences, of_report
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.sources.files import load_file
from durable_execution.replay.loading import load_handler
from durable_execution.replay.replayer import Replayer
from durable_execution.replay.report import ReplayReport
from tests.tui.broken import CASES, FURTHER, Recorded, record
from tests.tui.conftest import Drive, main_of, screen_text

ALL = (*CASES, *FURTHER)
NAMES = [case.name for case in ALL]
REPLAYED = [case.name for case in ALL if case.today is not None and not case.is_continued]
pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recorded]:
    """Records a case once."""
    directory = tmp_path_factory.mktemp("broken")

    @cache
    def of(name: str) -> Recorded:
        return record(next(case for case in ALL if case.name == name), directory)

    return of


def session_of(case: Recorded, *, is_replayed: bool) -> Session:
    """The session that `durable-debug EXECUTION`, or `durable-debug replay`, opens."""
    loaded = load_file(str(case.history))
    if not is_replayed:
        return Session(loaded.execution, as_of=loaded.as_of, title=loaded.title)
    report = report_of(case.history, case.target)
    execution = report.execution or loaded.execution
    rows = {operation.id: row for row, operation in enumerate(execution.operations)}
    differences = Differences(of_report(report), rows, operations=execution.operations)
    return Session(execution, as_of=loaded.as_of, title=loaded.title, differences=differences)


@cache
def report_of(history: Path, target: str) -> ReplayReport:
    """A replay with the search for causes; every test of a case shows the same report, which nothing changes."""
    return Replayer(load_handler(target)).replay(load_file(str(history)).execution)


WORDS: dict[str, tuple[str, ...]] = {
    "inserted": (
        'your code calls step "audit", the recording has step',
        "≠ 1 difference · 3 follow-on",
        "inserted.py:44 was edited after the recording: `await ctx.step(audit())` was added",
        'Fix make the new call only `if ctx.patched("audit"):`',
    ),
    "clock_branch": (
        'your code skips the recorded step "charge_standard" and calls step "charge_express"',
        "≠ SKIPPED CALL",
        "Likely clock_branch.py:44",
        "datetime.now(",
    ),
    "set_order": (
        "≠ 1 difference · 3 follow-on",
        'your code gives "notify_all" its items in a different order than recorded',
        'Replayed map "notify_all" 4 items: notify_dee, notify_cem',
        "set_order.py:43 was edited after the recording: `people = sorted(",
        'Fix use the new order only `if ctx.patched("notify-all"):`',
    ),
    "renamed_nested": (
        'your code calls step "send_mail"',
        "renamed_nested.py:45 was edited after the recording",
        'Fix keep `name="send_email"` until running executions have finished',
    ),
    "moved_out_of_loop": (
        'your code skips the recorded step "audit"',
        "moved_out_of_loop.py:45 was edited after the recording: `await ctx.step(audit(sku))` moved out of the loop `for sku in",
        'Fix make the call where it was, or move it only `if ctx.patched("audit"):`',
    ),
    "reordered": (
        "in a different order",
        "reordered.py:43 was edited after the recording",
        "Fix make the calls in the recorded order",
        "≠ 1 difference",
    ),
    "closure": (
        'your code skips the recorded step "audit"',
        "closure.py:49 was edited after the recording: `if total > 1:` became `if total > 2:`",
        'Fix make the call again, or make it only `if not ctx.patched("audit"):`',
    ),
    "changed_argument": (
        'wait "cooling_off" 18000 s',
        'wait "cooling_off" 300 s',
        "changed_argument.py:44 was edited after the recording",
        'Fix use the new value only `if ctx.patched("cooling-off"):`',
    ),
    "exception_outside_step": (
        "Failed: ValueError",
        "exception_outside_step.py:44 in handler, outside any step weight = int(parcel.split()[1])",
        'parcel = "reserved A1", the result of reserve on line 43',
        "Fix correct exception_outside_step.py:44",
    ),
    "stuck_on_callback": (
        'Waiting for callback "approval"',
        "times out in 1d",
        "stuck_on_callback.py:44",
        "has not answered yet",
        "durable-debug callback succeed MS4y",
    ),
    "retry_storm": (
        "charge_card gave up after 5 attempts (GatewayDownError",
        'retry_storm.py:23 in charge_card raise GatewayDownError("503 from the gateway")',
        "5 times in 8.0s, 2.0s apart",
        "RetryPresets.critical()",
        "this execution has ended, so start a new one",
    ),
    "runtime_divergence": (
        'Diverged in invocation 2 at call 3: your code calls step "audit"',
        "runtime_divergence.py:45 was edited after the recording: `await ctx.step(audit())` was added",
        'make the new call only `if ctx.patched("audit"):`',
    ),
    "exception_in_item": (
        "Failed: item 1 of weigh_all failed (KeyError: 'lb') exception_in_item.py:43",
        "From exception_in_item.py:50 in weigh return weight_of(text)",
        'Value text = "2 lb", the result of read_scale on line 49',
    ),
    "exception_in_helper": (
        "Raised exception_in_helper.py:42 in total_of, outside any step",
        "From exception_in_helper.py:48 in handler total = total_of(receipt, order)",
        'Value receipt = "charged 5", the result of charge on line 47',
        'Value order = {"postage": 3}, the input',
    ),
    "two_signatures": (
        "WAITING sign_ann",
        'Waiting for callback "sign_ann"',
        "and for 1 more call",
        "durable-debug callback succeed",
    ),
    "stuck_in_wait_for_callback": (
        "WAITING manager_review",
        'Waiting for callback "manager_review", without a timeout',
        "give wait_for_callback a timeout",
    ),
    "skipped_at_run_time": (
        'Diverged in invocation 2 at call 2: your code skips the recorded step "manual_review"',
        "SUCCEEDED skipped_at_run_time.py:45 in handler",
        "skipped_at_run_time.py:44 was edited after the recording: `if not order:` became `if order:`",
    ),
    "moved_up": (
        "▌≠ + 1 step audit your code: different",
        "moved_up.py:43 was edited after the recording: `await ctx.step(audit())` moved here from line 45",
        "make the calls in the recorded order",
    ),
    "longer_timeout": (
        'your code calls callback "approval", timeout 172800 s, the recording has callback "approval", timeout 86400 s',
        "keeps its recorded timeout",
    ),
    "lost_branch": (
        'your code runs "tell_all" with 2 branches, the recording has 3 branches',
        "≈ − 2 ✓ branch parallel-branch-2 not in your code",
        "lost_branch.py:50 was edited after the recording",
    ),
    "new_branch": (
        'your code runs "tell_all" with 3 branches, the recording has 2 branches',
        "≈ + 2 branch parallel-branch-2 new in your code",
        'use the new list only `if ctx.patched("tell-all"):`',
    ),
    "ten_attempts": (
        "Error ten_attempts.GatewayDownError: no answer within 30 s from the first ledger, the second ledger and the third ledger the third ledger th…",
        "Tried 10 times",
        "if the cause is transient, allow more attempts; if not, correct ten_attempts.py:43",
    ),
    "retry_storm_in_map": (
        "gave up after 5 attempts (GatewayDownError",
        "retry_storm_in_map.py:43 in book",
        "correct retry_storm_in_map.py:43 or handle StepError where the step is called",
        "this execution has ended, so start a new one",
    ),
    "closure_at_run_time": (
        'Diverged in invocation 2 at call 2: your code skips the recorded step "order_more" and calls step "thank_supplier"',
        "≠ SKIPPED CALL",
        "`if missing` is false, so line 51 runs in place of line 49; `missing` is changed inside count",
        "Fix return the value from count, and compute `missing` from the recorded results",
    ),
    "inserted_before_its_like": (
        'Diverged in invocation 2 at call 2: your code calls step "audit", the recording has step "charge"',
        'inserted_before_its_like.py:44 was edited after the recording: `if "A1" not in order:` and 1 more line were added',
        'make the new call only `if ctx.patched("audit"):`',
    ),
}
EXPLANATION = ("Recorded", "Replayed", "Likely", "Fix")


@pytest.mark.parametrize("name", NAMES)
def test_the_first_screen_answers_at_80x24(
    name: str, recorded: Callable[[str], Recorded], drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = recorded(name)
    monkeypatch.chdir(case.module.parent)
    session = session_of(case, is_replayed=name in REPLAYED)

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        text = screen_text(app)
        flat = " ".join(text.split())
        for word in (*WORDS[name], *(EXPLANATION if session.marks.root_count else ())):
            assert word in flat, f"{word!r} is not on the first screen:\n{text}"
        assert session.cursor == session.headline.row
        selected = "▌≠" if name in REPLAYED else "▌"
        assert selected in text, f"the row that explains it is not selected on the screen:\n{text}"

    drive(session, look, view="diff" if name in REPLAYED else "tree")


@pytest.mark.parametrize("size", [(100, 30), (160, 48)], ids=["100x30", "160x48"])
@pytest.mark.parametrize("name", ["inserted", "stuck_on_callback"])
def test_a_bigger_window_shows_the_code_below_the_whole_answer(
    name: str, size: tuple[int, int], recorded: Callable[[str], Recorded], drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = recorded(name)
    monkeypatch.chdir(case.module.parent)

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        text = screen_text(app)
        flat = " ".join(text.replace("│", " ").split())
        assert "ctx.patched(" in flat or "durable-debug callback succeed" in flat, text
        assert f"{name}.py · handler" in text
        assert "▌ ▸   44" in text, f"the line of the selected call is not shown:\n{text}"
        assert "not recorded to" not in flat, f"a pane only says that there are no variables:\n{text}"
        if size[0] == 160 and name == "inserted":
            beside = r" 44 −     await ctx\.step\(charge\(\)\) +recorded call 2 │ +45 .*await ctx\.step\(charge\(\)\)"
            assert re.search(beside, text), f"not side by side:\n{text}"
            assert re.search(r"44 \+\*    await ctx\.step\(audit\(\)\) +your call 2", text), text

    drive(session_of(case, is_replayed=name in REPLAYED), look, size=size, view="diff" if name in REPLAYED else "tree")


@pytest.mark.parametrize(
    ("name", "recorded_code", "replayed_code"),
    [
        ("clock_branch", " 47 −", " 45 +"),
        ("moved_out_of_loop", "ctx.step(audit(sku))", "ctx.step(reserve(sku))"),
        ("reordered", "ctx.step(reserve())", "ctx.step(charge())"),
        ("runtime_divergence", "ctx.wait(", "ctx.step(audit())"),
    ],
)
@pytest.mark.parametrize("size", [(100, 40), (160, 48)], ids=["100x40", "160x48"])
def test_the_code_is_marked_where_each_side_calls(
    name: str,
    recorded_code: str,
    replayed_code: str,
    size: tuple[int, int],
    recorded: Callable[[str], Recorded],
    drive: Drive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = recorded(name)
    monkeypatch.chdir(case.module.parent)

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        text = screen_text(app)
        shown = [half for row in text.splitlines() for half in row.split("│")]
        assert [half for half in shown if "recorded call" in half and recorded_code[:20] in half], text
        assert [half for half in shown if "your call" in half and replayed_code[:20] in half], text
        assert "both sides call here" not in text

    drive(session_of(case, is_replayed=name in REPLAYED), look, size=size, view="diff" if name in REPLAYED else "tree")


@pytest.mark.parametrize("name", [*REPLAYED, "runtime_divergence"])
def test_all_views_agree_on_the_differences(
    name: str, recorded: Callable[[str], Recorded], drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = recorded(name)
    monkeypatch.chdir(case.module.parent)
    session = session_of(case, is_replayed=name in REPLAYED)
    assert session.differences is not None
    assert session.marks.root_count == len(session.differences.roots) > 0

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        for view in ("1", "2", "4"):
            await pilot.press(view)
            text = screen_text(app)
            assert f"≠ {session.marks.root_count} difference" in text
            assert "≠ Diverged" in text
            assert "no differences" not in text
            assert "the same on both sides" not in text
            assert any(line.startswith(("▌≠", " ≠")) for line in text.splitlines()[4:]), text
        assert main_of(app).view == "diff"

    drive(session, look)


def test_an_execution_that_failed_outside_any_step_selects_the_execution_itself(
    recorded: Callable[[str], Recorded],
) -> None:
    session = session_of(recorded("exception_outside_step"), is_replayed=False)
    assert session.headline.row == ROOT
    assert session.headline.site is not None
    assert session.headline.site.line == 44


def test_an_execution_that_failed_in_a_step_selects_the_step(recorded: Callable[[str], Recorded]) -> None:
    session = session_of(recorded("retry_storm"), is_replayed=False)
    assert facts.label(session.operations[session.headline.row]) == "charge_card"


def test_a_difference_is_read_from_the_error_where_there_is_no_trace(
    recorded: Callable[[str], Recorded], tmp_path: Path
) -> None:
    case = recorded("runtime_divergence")
    alone = tmp_path / "alone.history.json"
    alone.write_text(case.history.read_text())
    loaded = load_file(str(alone))
    session = Session(loaded.execution, as_of=loaded.as_of)
    assert session.execution.traces == ()
    assert 'your code calls step "audit", the recording has wait "pause" 300 s' in session.headline.text
    assert facts.label(session.operations[session.headline.row]) == "pause"
    mark = session.mark(session.headline.row)
    assert mark is not None
    assert mark.note == 'your code calls step "audit" here'
    assert mark.divergence is not None
    assert "runtime_divergence.py:45 always makes this call" in (mark.divergence.likely or "")
    assert mark.divergence.replayed is not None
    assert str(mark.divergence.replayed.call_site) == f"{case.module}:45 in handler"


def test_a_succeeded_execution_says_how_long_and_how_often(recorded: Callable[[str], Recorded]) -> None:
    session = session_of(recorded("changed_argument"), is_replayed=False)
    assert session.headline.text == "Succeeded in 05:00, 2 invocations"
    assert session.headline.row == ROOT
