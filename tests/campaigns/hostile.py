"""Makers of mutants: a recorded file or answer, damaged, with everything that is then done with it."""

import copy
import functools
import json
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from durable_execution import Observer
from durable_execution.errors import DurableError
from durable_execution.local import LocalEngine, SkippingClock
from durable_execution.protocol import Wire
from durable_execution.runtime.answers import checkpoint_answer, state_page
from durable_execution.runtime.service import CheckpointAnswer, ServiceClient, StatePage
from durable_execution.trace.recorder import TraceRecorder
from durable_execution.trace.sinks import DirectorySink
from tests.campaigns.mutation import damage, encode, mutate, overwrite
from tests.campaigns.surfaces import EXPLAIN, EXPORT, SHOW, Trial, command, uses_of_file
from tests.campaigns.workflows import order, rates, record_store
from tests.unit.fake_service import FakeService

CORPUS = Path(__file__).parents[1] / "replay" / "corpus"
MAX_CORPUS_BYTES = 60_000
Maker = Callable[[random.Random], list[Trial]]


def _engine(store: Path) -> LocalEngine:
    clock = SkippingClock(datetime(2026, 1, 1, tzinfo=UTC))
    return LocalEngine(store, clock=clock, create=False, trace_sink=False)


def histories(directory: Path) -> Maker:
    """Mutants of histories: those of the replay corpus, and those of the workflow that the replays run."""
    files = sorted(path for path in CORPUS.rglob("*.json") if path.stat().st_size < MAX_CORPUS_BYTES)
    values = [json.loads(path.read_text())["history"] for path in files]
    store, _ = record_store(directory / "histories")
    with _engine(store) as engine:
        own = [
            engine.client.get_durable_execution_history(
                DurableExecutionArn=found["DurableExecutionArn"], IncludeExecutionData=True, MaxItems=1000
            )
            for found in engine.executions()["DurableExecutions"]
        ]
    recorded = [json.loads(json.dumps(history, default=str)) for history in own]
    target = directory / "mutant.json"

    def make(chance: random.Random) -> list[Trial]:
        value = chance.choice(values if chance.random() < 0.5 else recorded)
        if chance.random() < 0.2:
            target.write_bytes(damage(json.dumps(value).encode(), chance))
        else:
            target.write_text(encode(mutate(value, chance)))
        return uses_of_file(target, chance)

    return make


def traces(directory: Path) -> Maker:
    """Mutants of replay traces."""
    _, files = record_store(directory / "recorded")
    texts = [path.read_text() for path in files]
    target = directory / "mutant.trace.jsonl"

    def make(chance: random.Random) -> list[Trial]:
        text = chance.choice(texts)
        if chance.random() < 0.3:
            target.write_bytes(damage(text.encode(), chance))
        else:
            lines = [json.loads(line) for line in text.splitlines()]
            for _ in range(chance.randint(1, 2)):
                changed = chance.randrange(len(lines))
                lines[changed] = mutate(lines[changed], chance)
            target.write_text("\n".join(map(encode, lines)))
        return uses_of_file(target, chance)

    return make


def stores(directory: Path) -> Maker:
    """Mutants of stores."""
    store, _ = record_store(directory / "original")
    data = store.read_bytes()
    with _engine(store) as engine:
        arns = [found["DurableExecutionArn"] for found in engine.executions()["DurableExecutions"]]
    place = directory / "store"

    def make(chance: random.Random) -> list[Trial]:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        target = place / "executions.db"
        target.write_bytes((damage if chance.random() < 0.3 else overwrite)(data, chance))
        options, arn = ("--store", str(target)), chance.choice(arns)
        return [
            command("list", *options),
            command("show", arn, *options, *chance.choice(SHOW)),
            command("explain", arn, *options, *chance.choice(EXPLAIN)),
            command("export", arn, *options, "--to", chance.choice(EXPORT), "-o", str(place / "out")),
            command("stop", arn, *options),
        ]

    return make


def answers(directory: Path) -> Maker:
    """Mutants of the service's envelopes and answers, given to a handler that is observed."""
    events: list[Wire] = []

    @functools.wraps(order)
    def noting(event: Wire, context: Any) -> Any:
        events.append(copy.deepcopy(event))
        return order(event, context)

    with LocalEngine(None, clock=SkippingClock(datetime(2026, 1, 1, tzinfo=UTC)), trace_sink=False) as engine:
        engine.register("order", noting)
        engine.register("rates", rates)
        arn = engine.start("order", {"id": 7})
        callback = engine.wait_for_callback_id(arn, "approval")
        engine.client.send_durable_execution_callback_success(CallbackId=callback, Result=b"yes")
        engine.wait(arn)
    observer = TraceRecorder(DirectorySink(directory / "traces"))

    def make(chance: random.Random) -> list[Trial]:
        event = copy.deepcopy(chance.choice(events))
        return [Trial("invoke", partial(_invoked, mutate(event, chance), DamagedService(chance), observer))]

    return make


def _invoked(event: Any, service: ServiceClient, observer: Observer) -> int:
    try:
        answer = order.invoke(event, None, client=service, observers=[observer])
    except DurableError as error:
        return 4 if str(error) else 5
    json.dumps(answer)
    return ("SUCCEEDED", "FAILED", "PENDING").index(answer["Status"])


class DamagedService(FakeService):
    """A service whose answers are damaged before they are read.

    Args:
        chance: What is damaged, and how.
    """

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Store updates, and answer."""
        answer = await super().checkpoint(execution_arn, token, updates)
        wire = {"CheckpointToken": answer.token, "NewExecutionState": {"Operations": answer.operations}}
        return checkpoint_answer(self._damaged(wire))

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Answer with a page."""
        return state_page(self._damaged({"Operations": list(self.operations.values()), "NextMarker": ""}))

    def _damaged(self, wire: Wire) -> Any:
        return mutate(wire, self._chance) if self._chance.random() < 0.3 else wire
