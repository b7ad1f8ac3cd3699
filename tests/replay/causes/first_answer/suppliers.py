"""Suppliers that are asked at the same time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.replay.causes.common.timing import note, timed

SUPPLIERS = ("alpha", "beta", "gamma")
MARKUP = {"alpha": 5, "beta": 4, "gamma": 6}


def markup(supplier: str, cents: int) -> int:
    """Cents that a supplier adds."""
    return cents * MARKUP[supplier] // 100


async def first_of(offers: dict[str, Coroutine[Any, Any, int]]) -> tuple[str, int]:
    """The supplier that answers first, and its price."""
    tasks = {asyncio.ensure_future(offer): name for name, offer in offers.items()}
    with timed("offers"):
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)  # CAUSE
    note("answered", done=len(done), pending=len(pending))
    winner = done.pop()  # CAUSE
    await asyncio.gather(*pending)
    return tasks[winner], winner.result()
