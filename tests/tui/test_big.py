"""A hundred thousand calls. What counts is time of this thread, not of the clock: test machines are shared."""

from collections.abc import Callable
from functools import partial
from statistics import quantiles
from time import thread_time

from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model.session import Session
from tests.tui.conftest import Drive, main_of, settled
from tests.tui.recordings import big_execution

CALLS = 100_000


def milliseconds(action: Callable[[], object]) -> float:
    before = thread_time()
    action()
    return (thread_time() - before) * 1000


def test_a_hundred_thousand_calls_fold_move_and_draw_at_once(drive: Drive) -> None:
    execution = big_execution(CALLS)
    made: list[Session] = []
    took = {"session": milliseconds(lambda: made.append(Session(execution, as_of=None)))}
    session = made[0]

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        screen = main_of(app)
        moves = [milliseconds(lambda: screen.action_perform("cursor_down")) for _ in range(200)]
        took["95 % of moves"] = quantiles(moves, n=20)[-1]
        for action in ("unfold_all", "fold_all", "unfold_all", "bottom", "toggle_fold", "top"):
            took[action] = milliseconds(partial(screen.action_perform, action))
        session.select(0)
        took["unfold one"] = milliseconds(lambda: screen.action_perform("toggle_fold"))
        for view in "2345":
            await pilot.press(view)
            await settled(app, pilot)

    drive(session, script, size=(120, 40))
    print("\n" + "\n".join(f"{what:<14} {ms:8.1f} ms" for what, ms in took.items()))
    assert took["session"] < 3_000
    assert took["95 % of moves"] < 50
    assert max(took["unfold_all"], took["fold_all"]) < 500
    assert took["unfold one"] < 250
