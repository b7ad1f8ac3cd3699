"""`durable-debug mcp`: read-only tools for coding assistants, over the Model Context Protocol on stdin and stdout.

Each tool is a verb of this command with `--json`: list, show, explain, replay, diff and lint. Nothing here can act on an
execution. Values are redacted as on the screen, and every answer has a limited size.
"""

import io
import json
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.options import EXECUTION_HELP, READING_NEEDS, add_place_options
from durable_debugger.cli.output import Output
from durable_debugger.sources.local import DEFAULT_STORE
from durable_debugger.text.payloads import bounded
from durable_execution.redaction import default_rules

INSTRUCTIONS = (
    "Read-only tools for durable executions of AWS Lambda: what an execution did, why it does not continue or failed, and where "
    "the current code leaves the recorded path. Begin with `explain`. Values that look like secrets are hidden."
)

Execution = Annotated[str, f"The execution: {EXECUTION_HELP.replace(', or - for stdin', '')}"]
Handler = Annotated[str, "The handler, as package.module:handler or path/to/file.py:handler"]


def add_mcp_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = READING_NEEDS
    add_place_options(parser)


def run_mcp(arguments: Namespace, output: Output) -> int:
    """Serve until stdin is closed."""
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise CommandError(
            "serving tools needs the package mcp: run `pip install 'durable-execution-sdk[mcp]'`", Exit.UNLOADABLE
        ) from error
    tools = Tools(arguments)
    server = MCPServer("durable-debug", instructions=INSTRUCTIONS, log_level="WARNING")
    reads_only = ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    for tool in (tools.list_executions, tools.show, tools.explain, tools.replay, tools.diff, tools.lint):
        server.add_tool(_answering(tool, ToolError), annotations=reads_only, structured_output=False)
    output.say("serving read-only tools on stdin and stdout")
    server.run("stdio")
    return Exit.OK


def _answering(tool: Callable[..., str], failure: type[Exception]) -> Callable[..., str]:
    """A tool whose errors are answers that the assistant can read."""

    @wraps(tool)
    def answer(*arguments: Any, **options: Any) -> str:
        try:
            return tool(*arguments, **options)
        except ValueError as error:
            raise failure(str(error)) from None

    return answer


class Tools:
    """The tools.

    Args:
        arguments: The server's own arguments: where to look for executions.
    """

    def __init__(self, arguments: Namespace) -> None:
        self._where = [
            word
            for option in ("store", "function", "region", "profile", "endpoint_url")
            if (value := getattr(arguments, option)) is not None and value is not DEFAULT_STORE
            for word in (f"--{option.replace('_', '-')}", str(value))
        ]
        self._lock = threading.Lock()

    def list_executions(self, status: str | None = None, limit: int = 30) -> str:
        """List recent executions, latest first: name, id, ARN, status, times.

        Args:
            status: RUNNING, SUCCEEDED, FAILED, TIMED_OUT or STOPPED; all by default.
            limit: How many, at most 200.
        """
        words = ["--limit", str(max(1, min(limit, 200)))]
        return self._run("list", *words, *(["--status", _word(status)] if status else []), "--json")

    def show(self, execution: Execution) -> str:
        """Show one execution: its operations with inputs, results, errors and attempts, and its invocations."""
        return self._run("show", _word(execution), "--json")

    def explain(self, execution: Execution, handler: Handler = "") -> str:
        """Explain one execution: what it does, why it does not continue or why it failed, where, and what helps.

        With a handler, the execution is also replayed against it, without side effects.
        """
        return self._run("explain", _word(execution), *([_word(handler)] if handler else []), "--json")

    def replay(self, execution: Execution, handler: Handler) -> str:
        """Replay one execution against the code on disk, without side effects: where does the code leave the recording?"""
        return self._run("replay", _word(execution), _word(handler), "--json")

    def diff(self, first: Execution, second: Execution) -> str:
        """Compare two executions call by call: which calls differ, or ended differently."""
        return self._run("diff", _word(first), _word(second), "--json")

    def lint(self, path: Annotated[str, "A Python file, or a directory of them"]) -> str:
        """Find code that breaks replay, by reading the source."""
        return self._run("lint", _word(path), "--format", "json", has_places=False)

    def _run(self, verb: str, *words: str, has_places: bool = True) -> str:
        """Run a verb of the command with its output captured.

        Raises:
            ValueError: The verb cannot do it. The message says why and what to do.
        """
        from durable_debugger.cli.entry import run_words

        where = self._where if has_places else []
        data, narration = io.StringIO(), io.StringIO()
        with self._lock:
            code = run_words([verb, *words, *where], Output(is_ascii=False, data=data, narration=narration))
        found = hidden(json.loads(data.getvalue() or "{}"))
        if not found or ("error" in found and found.get("schema") == "durable-debug-error"):
            said = hidden(narration.getvalue().strip()) or f"durable-debug {verb} ended with exit code {code}"
            raise ValueError(str(said))
        return bounded(found)


def _word(value: str) -> str:
    """A value for the command line. It cannot be an option, nor stdin, which carries the protocol.

    Raises:
        ValueError: It begins with a dash, or is empty.
    """
    if not value or value.startswith("-"):
        raise ValueError(f"{value!r} is not a name, an ARN or a path")
    return value


def hidden(value: Any) -> Any:
    """A JSON value with its secrets hidden: in texts, and by the names of members."""
    return default_rules().value(value)
