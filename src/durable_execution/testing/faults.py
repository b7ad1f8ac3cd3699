"""Injects faults: a crash of the process, or an error of the service, at a checkpoint that the test chooses."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NoReturn

from durable_execution.errors import ServiceError
from durable_execution.local.hosts import FunctionHost, Invocation, Outcome
from durable_execution.observers import Observer
from durable_execution.protocol import Wire
from durable_execution.runtime.service import CheckpointAnswer, ServiceClient, StatePage
from durable_execution.runtime.state import BodyOrder
from durable_execution.testing.problems import RunnerError

Stubs = Mapping[str, Callable[..., Any]]
"""Functions to run in place of step bodies, by the name of the step."""

pause = asyncio.sleep

UpdateRule = Callable[[Sequence[Wire]], bool]
"""Decides, from the updates of a checkpoint in wire form, whether the fault occurs at it."""


@dataclass(slots=True)
class Fault:
    """A fault at a checkpoint.

    Attributes:
        at: Number of the checkpoint in its execution, from 1; None for any.
        when: Rule that selects the checkpoint; None for any.
        error: Error that the call raises; None when the process crashes.
        is_stored: Whether the service stores the updates anyway.
        times: Maximum number of occurrences.
        count: Number of occurrences so far.
    """

    at: int | None
    when: UpdateRule | None
    error: ServiceError | None
    is_stored: bool
    times: int
    count: int = 0

    def __post_init__(self) -> None:
        if self.at is None and self.when is None:
            raise RunnerError(
                "the fault has no checkpoint. Pass its number as at=, or a rule as when=, such as update_of('charge')"
            )
        if self.at is not None and self.at < 1:
            raise RunnerError(f"there is no checkpoint {self.at}: checkpoints are numbered from 1")

    def strikes(self, number: int, updates: Sequence[Wire]) -> bool:
        """Whether the fault occurs at this checkpoint. If it does, it is counted."""
        if self.count >= self.times or (self.at is not None and number != self.at):
            return False
        if self.when is not None and not self.when(updates):
            return False
        self.count += 1
        return True

    def __str__(self) -> str:
        what = "crash" if self.error is None else f"{self.error.code}"
        return f"{what} at checkpoint {self.at}" if self.at is not None else f"{what} at a chosen update"


def update_of(name: str | None = None, *, action: str | None = None, type: str | None = None) -> UpdateRule:  # noqa: A002  # the protocol's word
    """A rule for faults: selects a checkpoint that contains an update of an operation.

    Args:
        name: Name of the operation; None for any.
        action: `START`, `SUCCEED`, `FAIL`, `RETRY` or `CANCEL`; None for any.
        type: `STEP`, `WAIT`, `CALLBACK`, `CONTEXT`, `CHAINED_INVOKE` or `EXECUTION`; None for any.
    """
    wanted = {"Name": name, "Action": action, "Type": type}

    def holds(updates: Sequence[Wire]) -> bool:
        return any(
            all(value is None or update.get(member) == value for member, value in wanted.items()) for update in updates
        )

    return holds


class Faults:
    """The faults of one runner, and the number of checkpoints of each execution."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._counts: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        self._faults.append(fault)

    def next(self, execution_arn: str, updates: Sequence[Wire]) -> Fault | None:
        """Count a checkpoint. Returns the fault that occurs at it; None when there is none."""
        number = self._counts[execution_arn] = self._counts.get(execution_arn, 0) + 1
        return next((fault for fault in self._faults if fault.strikes(number, updates)), None)

    def pending(self) -> list[str]:
        """The faults that never occurred, each with the number of checkpoints there were."""
        made = max(self._counts.values(), default=0)
        return [f"{fault} (the execution made {made} checkpoints)" for fault in self._faults if not fault.count]


class FaultyClient:
    """A service client that injects faults and latency, and runs stubs in place of step bodies."""

    def __init__(
        self,
        inner: ServiceClient,
        faults: Faults,
        stubs: Stubs | None = None,
        *,
        body_order: BodyOrder | None = None,
        delay_seconds: float = 0,
    ) -> None:
        self._inner = inner
        self._faults = faults
        self._delay_seconds = delay_seconds
        self.step_stubs = stubs
        self.body_order = body_order

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Send updates, unless a fault occurs."""
        if self._delay_seconds:
            await pause(self._delay_seconds)
        fault = self._faults.next(execution_arn, updates)
        if fault is None:
            return await self._inner.checkpoint(execution_arn, token, updates)
        if fault.is_stored:
            await self._inner.checkpoint(execution_arn, token, updates)
        if fault.error is None:
            await _die()
        raise fault.error

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Read a page of operations."""
        return await self._inner.get_state(execution_arn, token, marker)


class FaultyHost:
    """Runs a function with the faults, the stubs and the observers of a test."""

    def __init__(
        self,
        inner: FunctionHost,
        faults: Faults,
        observers: Iterable[Observer],
        stubs: Stubs | None = None,
        *,
        body_order: Callable[[], BodyOrder] | None = None,
        checkpoint_delay: timedelta = timedelta(),
    ) -> None:
        self._body_order = body_order
        self._delay_seconds = checkpoint_delay.total_seconds()
        self._inner = inner
        self._faults = faults
        self._stubs = stubs
        self._observers = tuple(observers)

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run it once."""
        client = FaultyClient(
            invocation.client,
            self._faults,
            self._stubs,
            body_order=self._body_order() if self._body_order is not None else None,
            delay_seconds=self._delay_seconds,
        )
        observers = (*invocation.observers, *self._observers)
        return self._inner.invoke(replace(invocation, client=client, observers=observers))

    def close(self) -> None:
        """Close the host that runs the function."""
        self._inner.close()


async def _die() -> NoReturn:
    """End the environment: no code of the handler runs after that, as when its process is killed."""
    loop = asyncio.get_running_loop()
    loop.call_soon(_exit)
    while True:
        await loop.create_future()


def _exit() -> NoReturn:
    raise SystemExit("a crash injected by the test")
