"""`durable-debug run MODULE:HANDLER`: runs an execution on the local engine, with live progress."""

import json
from argparse import ArgumentParser, Namespace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.output import Output
from durable_debugger.cli.payload import read_json
from durable_debugger.cli.progress import Progress
from durable_debugger.cli.targets import function_name, handlers_beside
from durable_debugger.model.states import state_of
from durable_debugger.sources.local import DEFAULT_STORE
from durable_debugger.text import payloads
from durable_debugger.text.lines import Part
from durable_execution.errors import ServiceError
from durable_execution.local import ExecutionResult, LocalEngine
from durable_execution.protocol import ExecutionArn
from durable_execution.replayer.loading import load_handler

POLL_SECONDS = 0.1


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "target", metavar="MODULE_OR_FILE:HANDLER", help="handler to run, for example shop/orders.py:process_order"
    )
    parser.add_argument("--input", metavar="JSON|@FILE", default="{}", help="payload: JSON, @file, or - for stdin")
    parser.add_argument(
        "--name", metavar="NAME", help="execution name; the same name and input resume the same execution"
    )
    parser.add_argument(
        "--store",
        metavar="FILE",
        type=Path,
        default=DEFAULT_STORE,
        help="file that stores the executions (default: %(default)s)",
    )
    parser.add_argument(
        "--time",
        choices=("real", "skip"),
        default="real",
        help="skip: jump over waits and retry delays (default: real)",
    )
    parser.add_argument(
        "--also",
        metavar="NAME=MODULE:HANDLER",
        action="append",
        default=[],
        help="a function of a different module that the handler invokes; repeatable",
    )
    parser.add_argument("--timeout", metavar="SECONDS", type=float, help="time limit of the execution, in seconds")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON instead of the execution ID")
    parser.add_argument("--ascii", action="store_true", help="write ASCII characters only")


def run(arguments: Namespace, output: Output) -> int:
    """Run an execution to its end."""
    handler = load_handler(arguments.target)
    payload = read_json(arguments.input, "--input")
    with LocalEngine(arguments.store, time=arguments.time) as engine:
        for name, each in handlers_beside(handler).items():
            engine.register(name, each)
        for name, each in _others(arguments.also).items():
            engine.register(name, each)
        arn = _start(engine, function_name(handler), payload, arguments)
        try:
            result = _watch(engine, arn, output)
        except KeyboardInterrupt:
            _say_how_to_go_on(arn, arguments, output)
            raise
    return _report(result, arguments, output)


def _others(also: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in also:
        name, separator, target = each.partition("=")
        if not separator:
            raise CommandError(f"--also {each!r}: expected NAME=MODULE:HANDLER")
        found[name] = load_handler(target)
    return found


def _start(engine: LocalEngine, function: str, payload: Any, arguments: Namespace) -> str:
    timeout = timedelta(seconds=arguments.timeout) if arguments.timeout else None
    try:
        arn = engine.start(function, payload, name=arguments.name, timeout=timeout)
    except ServiceError as error:
        raise CommandError(f"cannot start the execution: {error}") from error
    engine.resume()
    return arn


def _watch(engine: LocalEngine, arn: str, output: Output) -> ExecutionResult:
    """Print the progress until the execution ends."""
    parts = ExecutionArn.parse(arn)
    output.say([Part(f"{parts.function}  ", "title"), Part(f"execution {parts.id}", "dim")])
    progress = Progress(engine.client, arn)
    pause, reported = Event(), set[str]()
    while True:
        result = engine.result(arn)
        for line in progress.news():
            output.say(line)
        if result is not None:
            return result
        _say_callbacks(progress, reported, output)
        if engine.clock.is_skipping:
            engine.run_until_idle()
            if engine.result(arn) is None and not progress.open_callbacks():
                return engine.wait(arn)
        pause.wait(POLL_SECONDS)


def _say_callbacks(progress: Progress, reported: set[str], output: Output) -> None:
    """Print how to complete each open callback, once per callback."""
    for callback, name in progress.open_callbacks():
        if callback not in reported:
            reported.add(callback)
            output.say(
                [Part(f"           {name} is waiting for a callback; complete it from a second terminal:", "wait")]
            )
            output.say(f"             durable-debug callback succeed {callback} --result '{{\"approved\": true}}'")


def _say_how_to_go_on(arn: str, arguments: Namespace, output: Output) -> None:
    parts = ExecutionArn.parse(arn)
    output.say(f"execution {parts.id} is not finished; resume it with:")
    output.say(f"  durable-debug run {arguments.target} --name {parts.name} --input '{arguments.input}'")


def _report(result: ExecutionResult, arguments: Namespace, output: Output) -> int:
    parts = ExecutionArn.parse(result.arn)
    state = state_of(result.status)
    wire = result.error.to_wire() if result.error else None
    if arguments.json:
        output.json(
            {
                "id": parts.id,
                "name": parts.name,
                "arn": result.arn,
                "status": result.status.value,
                "result": result.result,
                "error": wire,
            }
        )
    outcome = str(result.error) if result.error else payloads.summary(_text(result.result), 200)
    output.say([Part(f"{state.glyph} {result.status}  ", state.role), Part(outcome)])
    output.say([Part(f"inspect it: durable-debug {parts.id}", "dim")])
    if not arguments.json:
        output.line(parts.id)
    return Exit.OK if result.error is None and result.status == "SUCCEEDED" else Exit.HANDLER_FAILED


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
