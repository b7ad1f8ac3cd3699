"""`durable-debug run MODULE:HANDLER`: runs an execution on the local engine, with live progress.

`durable-debug serve --function NAME=TARGET`: serves the local engine on the real Lambda API.

`durable-debug callback succeed|fail|heartbeat ID`: completes a callback from outside the execution.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from durable_debugger.cli.command_line import port, seconds
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.options import (
    acting_client,
    add_acting_options,
    add_secret_option,
    function_name,
    handlers_beside,
    read_json,
    read_text,
    secrets_of,
    store_file,
)
from durable_debugger.cli.output import Output
from durable_debugger.cli.progress import Progress
from durable_debugger.model.facts import state_of
from durable_debugger.model.secrets import Secrets
from durable_debugger.sources.local import DEFAULT_STORE
from durable_debugger.text import payloads
from durable_debugger.text.segments import Part
from durable_execution.errors import ServiceError
from durable_execution.local import ExecutionResult, LocalEngine
from durable_execution.protocol import ErrorObject, ExecutionArn
from durable_execution.replay.loading import load_handler

if TYPE_CHECKING:
    from durable_execution.local.http.manifest import FunctionSettings

POLL_SECONDS = 0.1


def add_run_arguments(parser: ArgumentParser) -> None:
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
        type=store_file,
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
    parser.add_argument("--timeout", metavar="SECONDS", type=seconds, help="time limit of the execution, in seconds")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON instead of the execution ID")
    parser.add_argument("--ascii", action="store_true", help="write ASCII characters only")
    add_secret_option(parser)


def run_run(arguments: Namespace, output: Output) -> int:
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
            result = _watch(engine, arn, secrets_of(arguments), output)
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


def _watch(engine: LocalEngine, arn: str, secrets: Secrets | None, output: Output) -> ExecutionResult:
    """Print the progress until the execution ends."""
    parts = ExecutionArn.parse(arn)
    output.say([Part(f"{parts.function}  ", "title"), Part(f"execution {parts.id}", "dim")])
    progress = Progress(engine.client, arn, secrets)
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
    value, error, secrets = result.result, result.error, secrets_of(arguments)
    if secrets is not None:
        value, error = json.loads(secrets.payload(_text(value)) or "null"), secrets.error(error)
    wire = error.to_wire() if error else None
    code = Exit.OK if result.error is None and result.status == "SUCCEEDED" else Exit.HANDLER_FAILED
    if arguments.json:
        told = {
            "id": parts.id,
            "name": parts.name,
            "arn": result.arn,
            "status": result.status.value,
            "result": value,
            "error": wire,
        }
        output.document(told, code)
    outcome = str(error) if error else payloads.summary(_text(value), 200)
    output.say([Part(f"{state.glyph} {result.status}  ", state.role), Part(outcome)])
    output.say([Part(f"inspect it: durable-debug {parts.id}", "dim")])
    if not arguments.json:
        output.line(parts.id)
    return code


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


MEMORY = ":memory:"


def add_serve_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--function",
        metavar="NAME=TARGET",
        action="append",
        default=[],
        help="function to host: NAME=module:handler or NAME=path/to/file.py:handler for worker processes, or "
        "NAME=http://host:port for an endpoint that implements the API of Lambda's runtime interface emulator; repeatable",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="TOML file with functions and their settings: timeouts, retention, environment, tenants, versions, aliases",
    )
    parser.add_argument(
        "--plain",
        metavar="NAME",
        action="append",
        default=[],
        help="name of a --function with an http address that is not durable; repeatable",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=port, default=9014, help="port to listen on; 0 chooses a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="allow an address that other computers can reach; this server has no authentication",
    )
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="answer requests that address the server by this name, besides localhost and --host; repeatable",
    )
    parser.add_argument(
        "--store",
        default=".durable/executions.db",
        metavar="FILE",
        help=f"file that stores the executions; {MEMORY} keeps them in memory only (default: %(default)s)",
    )
    parser.add_argument(
        "--time",
        choices=("real", "skip"),
        default="real",
        help="skip: jump over waits and retry delays (default: real)",
    )
    parser.add_argument(
        "--log-file",
        type=Path,
        metavar="FILE",
        help="file for the output of the functions, as JSON lines with the execution's ARN",
    )


def run_serve(arguments: Namespace, output: Output) -> int:
    """Serve until Ctrl+C."""
    named = dict(_function(text) for text in arguments.function)
    functions: dict[str, str | FunctionSettings] = {**_configured(arguments.config, named), **named}
    unknown = [name for name in arguments.plain if name not in functions]
    if unknown:
        raise CommandError(f"--plain {unknown[0]}: no --function has this name")
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise CommandError(
                f"serving needs {package}: run `pip install 'durable-execution-sdk[server]'`", Exit.UNLOADABLE
            )
    from durable_execution.local.http.server import serve

    def announce(url: str) -> None:
        output.say(f"serving {', '.join(functions) or 'no functions'} on {url}; press Ctrl+C to stop")
        output.say(f"boto3.client('lambda', endpoint_url='{url}'), aws lambda --endpoint-url {url} ...")

    serve(
        functions,
        host=arguments.host,
        port=arguments.port,
        store=arguments.store,
        time=arguments.time,
        log_file=arguments.log_file,
        plain=arguments.plain,
        allow_remote=arguments.allow_remote,
        allowed_hosts=arguments.allow_host,
        announce=announce,
    )
    return Exit.OK


def _configured(path: Path | None, named: Mapping[str, str]) -> "dict[str, FunctionSettings]":
    """The functions of the configuration file."""
    if path is None:
        return {}
    from durable_execution.local.http.manifest import read_manifest

    found = read_manifest(path)
    twice = sorted(found.keys() & named.keys())
    if twice:
        raise CommandError(f"the function {twice[0]} is both in {path} and on the command line; name it once")
    return found


def _function(text: str) -> tuple[str, str]:
    name, separator, target = text.partition("=")
    if not (name and separator and ":" in target):
        raise CommandError(
            f"--function {text!r}: expected NAME=module:handler, NAME=file.py:handler or NAME=http://host:port"
        )
    return name, target


def add_callback_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    outcomes = parser.add_subparsers(dest="outcome", required=True, metavar="succeed|fail|heartbeat")
    succeed = outcomes.add_parser("succeed", help="complete the callback with a result")
    succeed.add_argument(
        "--result", metavar="JSON|@FILE", help="the result: JSON, @file, or - for stdin (default: none)"
    )
    succeed.add_argument("--raw", action="store_true", help="send the result unchanged, even if it is not JSON")
    fail = outcomes.add_parser("fail", help="complete the callback with an error")
    fail.add_argument("--message", default="failed by durable-debug", help="error message (default: %(default)s)")
    fail.add_argument("--type", default="CallbackError", help="error type (default: %(default)s)")
    fail.add_argument("--data", metavar="TEXT", help="error data for the application")
    heartbeat = outcomes.add_parser("heartbeat", help="report that the external work is still running")
    for each in (succeed, fail, heartbeat):
        each.add_argument("id", metavar="ID", help="callback ID, as printed by run and show")
        add_acting_options(each)


def run_callback(arguments: Namespace, output: Output) -> int:
    """Complete a callback, or restart its heartbeat timeout."""
    with acting_client(arguments) as client:
        if arguments.outcome == "heartbeat":
            client.send_durable_execution_callback_heartbeat(CallbackId=arguments.id)
        elif arguments.outcome == "fail":
            error = ErrorObject(arguments.message, arguments.type, arguments.data)
            client.send_durable_execution_callback_failure(CallbackId=arguments.id, Error=error.to_wire())
        else:
            result = _result(arguments)
            body = {} if result is None else {"Result": result.encode()}
            client.send_durable_execution_callback_success(CallbackId=arguments.id, **body)
    done = {"succeed": "completed", "fail": "failed", "heartbeat": "heartbeat sent"}[arguments.outcome]
    output.say(f"callback {done}")
    return Exit.OK


def _result(arguments: Namespace) -> str | None:
    if arguments.result is None:
        return None
    if not arguments.raw:
        read_json(arguments.result, "--result")
    return read_text(arguments.result, "--result")
