"""`durable-debug serve --function NAME=TARGET`: the local engine on the real Lambda API."""

from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.output import Output

MEMORY = ":memory:"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "--function",
        metavar="NAME=TARGET",
        action="append",
        default=[],
        help="a function to host: NAME=module:handler or NAME=path/to/file.py:handler in worker processes, or "
        "NAME=http://host:port of anything that speaks the protocol of Lambda's runtime interface emulator; repeatable",
    )
    parser.add_argument(
        "--plain",
        metavar="NAME",
        action="append",
        default=[],
        help="a function behind an address that is not durable; repeatable",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9014, help="0 takes one that is free (default: %(default)s)")
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="allow an address that other computers can reach: nobody is asked who he is",
    )
    parser.add_argument(
        "--store",
        default=".durable/executions.db",
        metavar="FILE",
        help=f"where executions are kept; {MEMORY} forgets them (default: %(default)s)",
    )
    parser.add_argument(
        "--time",
        choices=("real", "skip"),
        default="real",
        help="skip jumps over waits and retry delays (default: real)",
    )
    parser.add_argument(
        "--log-file",
        type=Path,
        metavar="FILE",
        help="output of the functions, as lines of JSON with the execution's ARN",
    )


def run(arguments: Namespace, output: Output) -> int:
    """Serve until Ctrl+C."""
    functions = dict(_function(text) for text in arguments.function)
    unknown = [name for name in arguments.plain if name not in functions]
    if unknown:
        raise CommandError(f"--plain {unknown[0]} names no --function")
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise CommandError(f"serving needs {package}: pip install 'durable-execution-sdk[server]'", Exit.UNLOADABLE)
    from durable_execution.local.http.server import serve

    def announce(url: str) -> None:
        output.say(f"serving {', '.join(functions) or 'no functions'} on {url}; Ctrl+C ends it")
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
        announce=announce,
    )
    return Exit.OK


def _function(text: str) -> tuple[str, str]:
    name, separator, target = text.partition("=")
    if not (name and separator and ":" in target):
        raise CommandError(
            f"--function {text!r} is not NAME=module:handler, NAME=file.py:handler or NAME=http://host:port"
        )
    return name, target
