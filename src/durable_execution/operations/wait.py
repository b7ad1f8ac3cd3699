"""`ctx.wait`: pause without paying for compute time."""

from __future__ import annotations

import math
from datetime import timedelta

from durable_execution.errors import ConfigurationError
from durable_execution.operations.lifecycle import (
    announce_replayed,
    announce_settled,
    announce_started,
    recorded_state,
    store,
)
from durable_execution.protocol.enums import MAX_DELAY_SECONDS, MIN_DELAY_SECONDS
from durable_execution.runtime.call import Call
from durable_execution.runtime.guard import check_configuration


def wait_seconds(duration: timedelta) -> int:
    """Convert a wait's duration to whole seconds, rounded up so that the wait is never too short.

    Raises:
        ConfigurationError: The duration is not a timedelta, below one second, or above 366 days.
    """
    if not isinstance(duration, timedelta):
        raise ConfigurationError(f"a wait takes a timedelta, not {duration!r}: write timedelta(seconds=...)")
    seconds = duration.total_seconds()
    if not MIN_DELAY_SECONDS <= seconds <= MAX_DELAY_SECONDS:
        raise ConfigurationError(
            f"a wait must last 1 second to 366 days, not {seconds:g} seconds: the service's timers have a resolution "
            "of one second. For a shorter pause, call asyncio.sleep() inside a step"
        )
    return math.ceil(seconds)


async def run_wait(call: Call, seconds: int) -> None:
    """Return when the wait is over."""
    state = call.scope.state
    recorded = await recorded_state(call)
    if recorded is None:
        announce_started(call)
        update = call.update("START")
        update["WaitOptions"] = {"WaitSeconds": seconds}
        await store(call, update)
        recorded = state.operations.get(call.id)
        is_replayed = False
    else:
        if state.announcer is not None:
            check_configuration(call, recorded)
        if recorded["Status"] != "STARTED":
            announce_replayed(call, recorded)
            return
        announce_started(call, recorded)
        is_replayed = True
    if recorded is None or recorded["Status"] == "STARTED":
        recorded = await state.until_changed(call)
    announce_settled(call, recorded, is_replayed=is_replayed)


run_wait.__qualname__ = "ctx.wait"  # Python's warning of a forgotten await names it
