"""Waiting until the app has nothing left to do: by looking at its queues, so that no test depends on how fast a machine is.

Textual's own pilot sleeps, several times a key, until the process uses little CPU.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from textual.app import App
from textual.message_pump import MessagePump
from textual.screen import Screen

SOON = 0.25
"""Seconds. Timers that fire once and sooner than this are waited for: what they do belongs to what was done."""
ROUNDS = 3
"""How many rounds of the event loop must bring nothing new."""
MOST_DRAWN, MOST_REPAINTED = 100, 5
"""How often the screen is drawn at most: one that moves by itself, as of a live execution, is never still on a slow machine.
Textual repaints a screen over another one that has changed again and again, without anything on it having changed.
"""


async def quiet(app: App[int]) -> None:
    """Wait until every message is handled and everything is drawn."""
    still = drawn = repainted = 0
    while (
        still < ROUNDS
        and drawn < MOST_DRAWN
        and repainted < MOST_REPAINTED
        and app.is_running
        and app._exception is None
    ):
        still += 1
        await asyncio.sleep(0)
        if not all(map(_is_waiting, _pumps(app))):
            still = 0
        elif app._resize_event is not None:  # its timer never fires when the machine is late by more than its interval
            app._check_resize()
            still = 0
        elif _has_to_draw(app.screen) and not app._batch_count:
            repainted = repainted + 1 if _has_only_to_repaint(app.screen) else 0
            app.screen._on_timer_update()
            still, drawn = 0, drawn + 1
        elif any(map(_has_a_timer, _pumps(app))):
            await asyncio.sleep(0.002)
            still = 0


def _pumps(app: App[int]) -> Iterator[MessagePump]:
    yield app
    for screen in app.screen_stack:
        yield from screen.walk_children(with_self=True)


def _is_waiting(pump: MessagePump) -> bool:
    """Whether it has nothing to do but wait for a message."""
    queue: Any = pump._message_queue
    has_work = not queue.empty() or pump._pending_message is not None or bool(pump._next_callbacks)
    return not has_work and bool(queue.ready_event._waiters)


def _has_a_timer(pump: MessagePump) -> bool:
    return any(
        timer._repeat == 0 and timer._interval < SOON and timer._task is not None and not timer._task.done()
        for timer in list(pump._timers)
    )


def _has_to_draw(screen: Screen[object]) -> bool:
    return screen._repaint_required or _has_changed(screen)


def _has_only_to_repaint(screen: Screen[object]) -> bool:
    return screen._repaint_required and not _has_changed(screen)


def _has_changed(screen: Screen[object]) -> bool:
    return bool(
        screen._layout_required
        or screen._scroll_required
        or screen._recompose_required
        or screen._dirty_widgets
        or screen._callbacks
    )
