"""Runs a case on the local engine in this process, on a clock that only the test moves."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from durable_execution.local import LocalEngine, SkippingClock
from tests.conformance.log_capture import captured
from tests.conformance.outside import Outside
from tests.conformance.registry import Case
from tests.conformance.requirement import CallbackAction, Requirement
from tests.conformance.running import Outcome, history_of, outcome_of

FUNCTION = "subject"
TICK = timedelta(milliseconds=500)


class InProcess:
    """The fast way."""

    def run(self, case: Case, required: Requirement) -> Outcome:
        """Run the case's handler with what the requirement sends it."""
        clock = SkippingClock()
        with captured() as records, LocalEngine(store=None, clock=clock, trace_sink=False) as engine:
            engine.register(FUNCTION, case.handler)
            for name, target in case.functions.items():
                engine.register(name, target)
            arn = play(engine, clock, engine.client, required)
            return outcome_of(engine.client, arn, records)


def play(engine: LocalEngine, clock: SkippingClock, client: Any, required: Requirement) -> str:
    """Start an execution through a client, and let the outside world do with it what it is to do.

    Args:
        engine: The engine, which nobody else drives.
        clock: The engine's clock.
        client: Whatever has the methods of boto3's Lambda client.
        required: What is sent, and what happens to callbacks.

    Returns:
        The execution's ARN.
    """
    answer = client.invoke(
        FunctionName=f"{FUNCTION}:$LATEST", InvocationType="Event", Payload=json.dumps(required.payload).encode()
    )
    arn: str = answer["DurableExecutionArn"]
    engine.run_until_idle(skips="nothing")
    _carry_out(engine, clock, client, arn, required.actions)
    if required.awaits_end:
        engine.wait(arn)
    return arn


def _carry_out(
    engine: LocalEngine, clock: SkippingClock, client: Any, arn: str, actions: Sequence[CallbackAction]
) -> None:
    """Let time pass until every action on a callback has been carried out."""
    outside = Outside(list(actions))
    while outside.actions:
        now = clock.now().timestamp()
        found = outside.next_action(history_of(client, arn), now)
        if found is not None and found[2] <= now:
            outside.carry_out(client, found[0], found[1])
        elif found is None and engine.result(arn) is not None:
            raise AssertionError(f"the execution has ended, but {outside.actions} were to happen")
        else:
            clock.advance(TICK)
        engine.run_until_idle(skips="nothing")
