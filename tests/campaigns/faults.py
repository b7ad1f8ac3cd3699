"""Fault campaign: disks and networks fail at random moments, and nothing that was acknowledged is lost or repeated.

    python -m tests.campaigns.faults --faults 1000

`disk` lets the engine's store fail: a full disk, a short write, an input/output error, at any statement or commit. `network` stands between
handlers and the service: calls that never arrive, answers that are lost, late, repeated, truncated, empty or stale. In the end
everything runs undisturbed until it is finished, and the ledger that the bodies kept is compared with the histories.
"""

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from durable_execution import DurableContext, StepConfig, StepContext, durable_execution, exponential_backoff
from durable_execution.clock import Clock
from durable_execution.errors import EngineError, ServiceError
from durable_execution.local import EngineLimits, LocalEngine, SkippingClock
from durable_execution.observers import Observer
from durable_execution.protocol import Wire
from durable_execution.runtime.answers import checkpoint_answer
from durable_execution.runtime.service import CheckpointAnswer, ServiceClient, StatePage

MODES = ("disk", "network")
STEPS = 4
START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENT = EngineLimits(failed_invocations=10_000)
OFTEN = StepConfig(
    retry_strategy=exponential_backoff(max_attempts=100, initial_delay=timedelta(seconds=1), backoff_rate=1)
)
DISK = (
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "attempt to write a readonly database",
)


@dataclass(slots=True)
class Ledger:
    """What happened outside the store.

    Attributes:
        known: Values that a handler received, by execution and step.
        bodies: How often each body ran to its end.
        started: Names of the executions that the engine acknowledged.
    """

    known: dict[str, set[str]] = field(default_factory=dict)
    bodies: Counter[str] = field(default_factory=Counter)
    started: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Faults:
    """The result of a campaign.

    Attributes:
        mode: What failed.
        injected: How often, by kind.
        executions: Executions that were acknowledged.
        problems: What was lost, repeated or raised.
    """

    mode: str
    injected: Counter[str] = field(default_factory=Counter)
    executions: int = 0
    problems: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The result as text."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.injected.most_common())
        total = self.injected.total()
        yield f"{self.mode}: {total} faults in {self.executions} executions: {len(self.problems)} problems ({kinds})"
        yield from (f"  {problem}" for problem in self.problems[:20])


def workflow(ledger: Ledger) -> Any:
    """Steps with a wait between them, each of which writes to the ledger."""

    @durable_execution
    async def job(event: dict[str, str], ctx: DurableContext) -> int:
        for number in range(STEPS):
            key = f"{event['name']}/{number}"

            def body(step: StepContext, key: str = key) -> str:
                ledger.bodies[key] += 1
                return f"{key} {ledger.bodies[key]}"

            value = await ctx.step(body, name=f"s{number}", config=OFTEN)
            ledger.known.setdefault(key, set()).add(value)
            if number == STEPS // 2:
                await ctx.wait(timedelta(seconds=1), name="pause")
        return STEPS

    return job


def campaign(mode: str, faults: int, directory: Path, *, seed: int = 0) -> Faults:
    """Inject faults, finish and check.

    Args:
        mode: One of `MODES`.
        faults: How many faults to inject.
        directory: Where the store goes.
        seed: Seed of the faults.
    """
    chance, found, ledger = random.Random(f"{mode} {seed}"), Faults(mode), Ledger()
    store = directory / "executions.db"
    number = 0
    while found.injected.total() < faults:
        number += 1
        with suppress(EngineError, ServiceError):
            (_on_failing_disk if mode == "disk" else _on_failing_network)(store, number, chance, found, ledger)
    with _engine(store) as engine:
        engine.register("job", workflow(ledger))
        engine.resume()
        engine.run_until_idle(skips="everything")
        histories = dict(_histories(engine))
    _check(found, ledger, histories)
    return found


def _engine(store: Path) -> LocalEngine:
    return LocalEngine(store, clock=SkippingClock(START), limits=PATIENT, trace_sink=False)


def _start(engine: LocalEngine, number: int, ledger: Ledger) -> None:
    engine.resume()
    for part in range(3):
        name = f"job-{number}-{part}"
        arn = engine.start("job", {"name": name}, name=name)
        ledger.started.append(name)
        engine.wait(arn)


def _on_failing_disk(store: Path, number: int, chance: random.Random, found: Faults, ledger: Ledger) -> None:
    """One life of an engine whose store fails at every hundredth statement or so."""
    rate = chance.choice((0.002, 0.01, 0.05))

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            if sql != "ROLLBACK" and chance.random() < rate:
                kind = chance.choice(DISK)
                found.injected[kind] += 1
                if sql == "COMMIT" and chance.random() < 0.5:
                    super().execute("ROLLBACK")  # SQLite does so by itself after most of these errors
                raise sqlite3.OperationalError(kind)
            return super().execute(sql, *rest)

    connect = sqlite3.connect
    with (
        mock.patch.object(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Failing, **options)),
        _engine(store) as engine,
    ):
        engine.register("job", workflow(ledger))
        _start(engine, number, ledger)


def _on_failing_network(store: Path, number: int, chance: random.Random, found: Faults, ledger: Ledger) -> None:
    """One life of an engine whose handlers reach it through a network that fails."""
    with _engine(store) as engine:
        distant: Any = Distant(workflow(ledger), chance, found)
        engine.register("job", distant)
        _start(engine, number, ledger)


@dataclass(slots=True)
class Distant:
    """A handler behind a network that fails.

    Attributes:
        handler: The handler.
        chance: When the network fails, and how.
        found: Counts the faults.
    """

    handler: Any
    chance: random.Random
    found: Faults

    def invoke(
        self,
        event: Any,
        context: Any = None,
        *,
        client: ServiceClient,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
    ) -> Wire:
        """Run one invocation."""
        service = FailingNetwork(client, self.chance, self.found)
        answer: Wire = self.handler.invoke(event, context, client=service, observers=observers, clock=clock)
        return answer

    @property
    def function(self) -> Any:
        """The undecorated handler."""
        return self.handler.function


class FailingNetwork:
    """Stands between an invocation and its service."""

    def __init__(self, client: ServiceClient, chance: random.Random, found: Faults) -> None:
        self._client = client
        self._chance = chance
        self._found = found
        self._earlier: list[Wire] = []

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Send updates, or fail in one of many ways."""
        kind = self._chance.choice(FAULTS) if self._chance.random() < 0.15 else None
        if kind is None:
            answer = await self._client.checkpoint(execution_arn, token, updates)
            self._earlier += [dict(wire) for wire in answer.operations]
            return answer
        self._found.injected[kind] += 1
        if kind == "never arrived":
            raise ServiceError("EndpointConnectionError", "no route to host")
        answer = await self._client.checkpoint(execution_arn, token, updates)
        match kind:
            case "lost answer":
                raise ServiceError("ReadTimeoutError", "the connection was closed")
            case "late answer":
                for _ in range(50):
                    await asyncio.sleep(0)
            case "repeated request":
                await self._client.checkpoint(execution_arn, token, updates)
            case "empty answer":
                return checkpoint_answer({})
            case "truncated answer":
                return checkpoint_answer(
                    {"CheckpointToken": answer.token, "NewExecutionState": {"Operations": [{"Id": "1"}]}}
                )
            case "stale answer":
                stale = [{**wire, "Status": "STARTED"} for wire in self._earlier]
                return answer._replace(operations=[*answer.operations, *stale])
            case _:
                return answer._replace(operations=[*answer.operations, *answer.operations])
        return answer

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Read a page."""
        return await self._client.get_state(execution_arn, token, marker)


FAULTS = (
    "never arrived", "lost answer", "late answer", "repeated request", "empty answer", "truncated answer", "stale answer",
    "duplicated operations",
)  # fmt: skip


def _histories(engine: LocalEngine) -> Iterator[tuple[str, list[Wire]]]:
    marker: str | None = None
    while True:
        page = engine.executions(marker=marker, max_items=100)
        for execution in page["DurableExecutions"]:
            yield (
                execution["DurableExecutionName"],
                engine.client.get_durable_execution_history(
                    DurableExecutionArn=execution["DurableExecutionArn"], IncludeExecutionData=True, MaxItems=1000
                )["Events"],
            )
        marker = page.get("NextMarker")
        if marker is None:
            return


def _check(found: Faults, ledger: Ledger, histories: dict[str, list[Wire]]) -> None:
    found.executions = len(ledger.started)
    found.problems += [f"{name} was acknowledged, and is lost" for name in ledger.started if name not in histories]
    for name, events in histories.items():
        if events[-1]["EventType"] != "ExecutionSucceeded":
            found.problems.append(f"{name} ended with {events[-1]['EventType']}")
        if [event["EventId"] for event in events] != list(range(1, len(events) + 1)):
            found.problems.append(f"{name} has gaps in its event ids")
        for number in range(STEPS):
            ends = [e for e in events if e.get("Name") == f"s{number}" and e["EventType"] == "StepSucceeded"]
            values = {event["StepSucceededDetails"]["Result"]["Payload"].strip('"') for event in ends}
            known = ledger.known.get(f"{name}/{number}", set())
            if len(ends) != 1:
                found.problems.append(f"{name}/{number} has {len(ends)} results")
            elif known != values:
                found.problems.append(
                    f"{name}/{number} was known as {sorted(known)}, and is recorded as {sorted(values)}"
                )


def main() -> int:
    """Run the campaign; the exit code is 1 if anything was lost or repeated."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--faults", type=int, default=1000, help="number of faults of each mode")
    parser.add_argument("--mode", action="append", choices=MODES, help="what fails; repeatable; all by default")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults")
    arguments = parser.parse_args()
    problems = 0
    for mode in arguments.mode or MODES:
        with tempfile.TemporaryDirectory() as directory:
            found = campaign(mode, arguments.faults, Path(directory), seed=arguments.seed)
        sys.stdout.write("\n".join(found.lines()) + "\n")
        sys.stdout.flush()
        problems += len(found.problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
