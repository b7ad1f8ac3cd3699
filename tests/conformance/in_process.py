"""Runs a case on the local engine in this process, on a clock that skips."""

import json
from datetime import timedelta

from durable_execution.local import LocalEngine, SkippingClock
from tests.conformance.log_capture import captured
from tests.conformance.outside import Outside
from tests.conformance.registry import Case
from tests.conformance.requirement import Requirement
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
            arn = self._start(engine, required)
            self._play(engine, clock, arn, required)
            if required.awaits_end:
                engine.wait(arn)
            return outcome_of(engine.client, arn, records)

    def _start(self, engine: LocalEngine, required: Requirement) -> str:
        answer = engine.client.invoke(
            FunctionName=f"{FUNCTION}:$LATEST", InvocationType="Event", Payload=json.dumps(required.payload).encode()
        )
        arn: str = answer["DurableExecutionArn"]
        return arn

    def _play(self, engine: LocalEngine, clock: SkippingClock, arn: str, required: Requirement) -> None:
        """Let time pass until every action on a callback has been carried out."""
        outside = Outside(list(required.actions))
        engine.run_until_idle(skips="nothing")
        while outside.actions:
            now = clock.now().timestamp()
            found = outside.next_action(history_of(engine.client, arn), now)
            if found is not None and found[2] <= now:
                outside.carry_out(engine.client, found[0], found[1])
            elif found is None and engine.result(arn) is not None:
                raise AssertionError(f"the execution has ended, but {outside.actions} were to happen")
            else:
                clock.advance(TICK)
            engine.run_until_idle(skips="nothing")
