"""`durable-debug serve --function NAME=TARGET`: serves the local engine on the real Lambda API."""

from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.output import Output

MEMORY = ":memory:"


def add_arguments(parser: ArgumentParser) -> None:
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
        "--plain",
        metavar="NAME",
        action="append",
        default=[],
        help="name of a --function with an http address that is not durable; repeatable",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=9014, help="port to listen on; 0 chooses a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="allow an address that other computers can reach; this server has no authentication",
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


def run(arguments: Namespace, output: Output) -> int:
    """Serve until Ctrl+C."""
    functions = dict(_function(text) for text in arguments.function)
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
        announce=announce,
    )
    return Exit.OK


def _function(text: str) -> tuple[str, str]:
    name, separator, target = text.partition("=")
    if not (name and separator and ":" in target):
        raise CommandError(
            f"--function {text!r}: expected NAME=module:handler, NAME=file.py:handler or NAME=http://host:port"
        )
    return name, target
