"""The server that the kill campaign kills: the functions of `victim.py` in worker processes. Not a test."""

import os
from datetime import timedelta
from pathlib import Path

from durable_execution.local import EngineLimits, LocalEngine
from durable_execution.local.http import JsonLog, LocalServer
from durable_execution.local.http.server import host_function
from tests.campaigns.victim import LEDGER, run

PATIENT = EngineLimits(retry_delay=timedelta(milliseconds=100), failed_invocations=1000)
"""The service gives up after five failed invocations in a row. Here every invocation of an execution may be killed."""


def main(store: str, ledger: str, names: list[str]) -> None:
    """Serve on a store, with executions of these names, new ones or old ones, until they have all ended."""
    os.environ[LEDGER] = ledger
    os.environ.setdefault("DURABLE_REPLAY_TRACE", "off")
    log = JsonLog(Path(store).with_name("log"))
    with LocalEngine(store, limits=PATIENT, trace_sink=False) as engine, LocalServer(engine, port=0) as server:
        engine.register("job", host_function("job", "tests.campaigns.victim:job", log, server.url, None))
        engine.resume()
        run(engine, names)
