"""A program that runs one workflow on a store and may be killed at any moment. Not a test: tests start it.

Arguments: the store, and a file that gets a line for each thing that must not be lost or repeated:
`acknowledged ID` once a checkpoint of a step's end was answered, `body ID` when the body of an at-most-once step runs.
"""

import os
import sys
from pathlib import Path

from durable_execution.local import EngineLimits, LocalEngine
from durable_execution.protocol import Wire
from tests.unit.local.scripts import PENDING, Body, Session, done, invoke, register, step, wait

STEPS = 30


def note(path: Path, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def flow(log: Path) -> Body:
    def body(session: Session) -> Wire:
        for number in range(STEPS):
            identity = f"s{number}"
            if session.status(identity) is None:
                session.send(step(identity, "START"))
                note(log, f"body {identity}")
                session.send(step(identity, "SUCCEED", Payload=str(number)))
                note(log, f"acknowledged {identity}")
            elif session.status(identity) == "STARTED":
                # An at-most-once step that was cut off: its body must not run again.
                session.send(step(identity, "FAIL", Error={"ErrorType": "Interrupted"}))
                note(log, f"acknowledged {identity}")
            if number in (10, 20):
                if session.status(f"w{number}") is None:
                    session.send(wait(f"w{number}", 1))
                if session.status(f"w{number}") != "SUCCEEDED":
                    return PENDING
        if session.status("child") is None:
            session.send(invoke("child", "child", "{}"))
        if session.status("child") == "STARTED":
            return PENDING
        return done(session.operations["child"]["ChainedInvokeDetails"]["Result"])

    return body


def child(session: Session) -> Wire:
    if session.status("c") is None:
        session.send(step("c", "START"), step("c", "SUCCEED", Payload='"from the child"'))
    return done('"from the child"')


def main(store: str, log: str) -> None:
    with LocalEngine(store, limits=EngineLimits()) as engine:
        register(engine, flow(Path(log)))
        register(engine, child, "child")
        engine.resume()
        arn = engine.start("flow", {"order": 7}, name="only-one")
        print("ready", flush=True)
        print(engine.wait(arn).result, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
