"""Runs a case through HTTP: an unmodified boto3 client starts and watches it, and another one serves its handler."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from durable_execution import DurableHandler
from durable_execution.clock import Clock
from durable_execution.local import LocalEngine, SkippingClock
from durable_execution.local.http import JsonLog, ProcessHost, RemoteHost
from durable_execution.local.http.server import worker_environment
from durable_execution.observers import Observer
from durable_execution.protocol import Wire
from durable_execution.runtime.client import LambdaService
from durable_execution.runtime.service import ServiceClient
from tests.conformance.crashing import CRASH_SECONDS, SCRATCH
from tests.conformance.in_process import FUNCTION, play
from tests.conformance.log_capture import captured
from tests.conformance.registry import Case
from tests.conformance.remote import RemoteFunction
from tests.conformance.requirement import Requirement
from tests.conformance.running import Outcome, outcome_of
from tests.interop.serving import served


class Undriven(LocalEngine):
    """An engine that nobody drives but the test, so that no time passes unless the test says so."""

    def drive(self, *arguments: Any, **options: Any) -> None:
        """Leave it to the test."""


class ThroughBoto3:
    """A handler of this process that talks to its service through boto3, as on Lambda."""

    def __init__(self, handler: DurableHandler[Any], client: Any) -> None:
        self._handler = handler
        self._service = LambdaService(client)

    @property
    def function(self) -> Any:
        """The undecorated handler."""
        return self._handler.function

    def invoke(
        self,
        event: Any,
        lambda_context: Any,
        *,
        client: ServiceClient,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
    ) -> Wire:
        """Run one invocation against the service at the other end of the socket."""
        return self._handler.invoke(event, lambda_context, client=self._service, observers=observers, clock=clock)


class OverHttp:
    """A server that runs one case after the other."""

    def __init__(self, engine: LocalEngine, clock: SkippingClock, url: str, client: Any) -> None:
        self._engine = engine
        self._clock = clock
        self._url = url
        self._client = client

    def run(self, case: Case, required: Requirement) -> Outcome:
        """Run the case's handler in this process."""
        with captured() as records:
            for name, target in {FUNCTION: case.handler, **case.functions}.items():
                self._engine.register(name, ThroughBoto3(target, self._client))
            arn = play(self._engine, self._clock, self._client, required)
            return outcome_of(self._client, arn, records)

    def run_in_processes(self, case: Case, required: Requirement, scratch: Path) -> Outcome:
        """Run the case's handler in worker processes, where it may end its process."""
        log_file = scratch / "log.jsonl"
        log = JsonLog(log_file)
        environment = {**worker_environment(FUNCTION, case.spec, self._url, None), SCRATCH: str(scratch)}
        host = ProcessHost(case.spec, log=log, environment=environment)
        try:
            self._engine.register(FUNCTION, host, durable=host.is_durable)
            arn = play(self._engine, self._clock, self._client, required)
        finally:
            host.close()
            log.close()
        records = [json.loads(line) for line in log_file.read_text().splitlines()]
        return outcome_of(self._client, arn, records)

    def run_remotely(self, case: Case, required: Requirement, function: RemoteFunction) -> Outcome:
        """Run the case's handler behind an address, in a process that the server knows nothing of."""
        for name, target in case.functions.items():
            self._engine.register(name, ThroughBoto3(target, self._client))
        self._engine.register(FUNCTION, RemoteHost(function.url), durable=True)
        with function.running(case.spec) as records:
            arn = play(self._engine, self._clock, self._client, required)
        return outcome_of(self._client, arn, records)

    @contextmanager
    def remote(self, folder: Path) -> Iterator[RemoteFunction]:
        """A function behind an address, with a folder of its own."""
        environment = {**worker_environment(FUNCTION, "", self._url, None), SCRATCH: str(folder), CRASH_SECONDS: "1"}
        with RemoteFunction(environment, folder) as function:
            yield function


@contextmanager
def over_http() -> Iterator[OverHttp]:
    """An engine behind a socket."""
    clock = SkippingClock()
    with Undriven(store=None, clock=clock, trace_sink=False) as engine, served(engine) as (url, client):
        yield OverHttp(engine, clock, url, client)
