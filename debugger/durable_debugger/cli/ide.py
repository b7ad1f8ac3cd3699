"""`durable-debug replay … --pdb` and `--debugpy`: steps through a recorded execution in your own debugger.

Writes the entry that VS Code needs for it into `.vscode/launch.json`.
"""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from durable_debugger.cli.command_line import MAX_PORT, whole_number
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.output import Output
from durable_debugger.cli.verify import worker_options
from durable_execution.counts import counted
from durable_execution.divergence import explain
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay.report import ReplayReport
from durable_execution.replay.run import UnusableHandlerError
from durable_execution.replay.workers.channel import Channel, ClosedChannelError, ForgedMessageError
from durable_execution.replay.workers.messages import (
    DEBUGPY,
    HOST,
    PDB,
    DebugEnded,
    DebugJob,
    DebugReady,
    Start,
    Unusable,
)
from durable_execution.replay.workers.supervisor import start_process

DEBUG_PROCESS = "durable_execution.replay.workers.debug_process"
DEFAULT_PORT = 5678
CONFIGURATION = Path(".vscode") / "launch.json"
NAME = "Replay with durable-debug"
ENTRY_MEMBERS: Mapping[str, Any] = {"name": NAME, "type": "debugpy", "request": "attach", "justMyCode": True}
JSON_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])')
CONFIGURATIONS = re.compile(r'"configurations"\s*:\s*\[')


def add_ide_options(parser: ArgumentParser) -> None:
    """Add the options that replay under another debugger."""
    group = parser.add_argument_group("in your own debugger")
    which = group.add_mutually_exclusive_group()
    which.add_argument("--pdb", action="store_true", help="step through the replay with pdb, in this terminal")
    which.add_argument(
        "--debugpy",
        type=whole_number(0, MAX_PORT),
        nargs="?",
        const=DEFAULT_PORT,
        metavar="PORT",
        help=f"wait for VS Code, PyCharm or another IDE to attach (default: {DEFAULT_PORT}; 0 chooses a free port)",
    )
    group.add_argument(
        "--write-config",
        action="store_true",
        help=f"with --debugpy: add the entry to {CONFIGURATION} in this directory",
    )


def wants_ide(arguments: Namespace) -> bool:
    """Whether the options ask for another debugger."""
    if arguments.write_config and arguments.debugpy is None:
        raise CommandError("--write-config writes the entry of VS Code: add --debugpy")
    has_ide = bool(arguments.pdb or arguments.debugpy is not None)
    option = "--pdb" if arguments.pdb else "--debugpy"
    if has_ide and arguments.json:
        raise CommandError(f"{option} has no JSON; leave out --json, or leave out {option} for the report as JSON")
    if arguments.debugpy is not None and importlib.util.find_spec("debugpy") is None:
        raise CommandError("--debugpy needs debugpy: pip install 'durable-execution-sdk[ide]', or use --pdb")
    if arguments.pdb and not sys.stdin.isatty():
        raise CommandError("--pdb needs a terminal; use --debugpy, or --headless for the report as text")
    return has_ide


def debug(execution: RecordedExecution, report: ReplayReport, arguments: Namespace, output: Output) -> int:
    """Replay a recording in another debugger.

    Returns:
        The exit code of the report; nothing that happens in the debugger changes it. 130 if the command was interrupted.
    """
    is_pdb = bool(arguments.pdb)
    options = worker_options(arguments)
    output.say(_verdict(report))
    job = DebugJob(
        Start(arguments.target, options.memory, options.allows_network_at_import, options.has_landlock),
        execution,
        PDB if is_pdb else DEBUGPY,
        arguments.debugpy or 0,
        {one.path: explain(one) for one in reversed(report.divergences)},
    )
    process, channel = start_process(
        DEBUG_PROCESS,
        flags=("-X", "frozen_modules=off"),
        stdin=None if is_pdb else subprocess.DEVNULL,
        stdout=None if is_pdb else sys.stderr.fileno(),
        env={**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
    )
    try:
        channel.send(job)
        ready = channel.receive()
        if isinstance(ready, Unusable):
            raise (
                UnusableHandlerError(ready.message)
                if is_pdb or "debugpy" not in ready.message
                else CommandError(ready.message)
            )
        _introduce(ready, arguments, output)
        ended = _end(channel, is_pdb=is_pdb)
    except ClosedChannelError:
        output.say("the debugger's process ended before the replay did")
        return int(report.exit_code)
    except ForgedMessageError as error:
        output.say(f"the debugger's process answered something else: {error}")
        return int(report.exit_code)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    finally:
        channel.close()
        with suppress(ProcessLookupError, PermissionError):
            process.kill()
        process.wait()
    _say_end(ended, report, output)
    return int(report.exit_code)


def _verdict(report: ReplayReport) -> str:
    roots = counted(len(report.roots), "root difference")
    differs = f", {roots}: {report.roots[0].headline}" if report.roots else ""
    return f"verdict: {report.verdict.value}{differs} (from a replay without a debugger)"


def _introduce(ready: DebugReady, arguments: Namespace, output: Output) -> None:
    layers = ", ".join(ready.layers)
    whom = (
        "the handler's threads" if arguments.pdb else "the handler's threads; the debugger's own threads are left out"
    )
    output.say(f"isolation: {layers}, for {whom}. No time limit")
    if arguments.pdb:
        return
    entry = {**ENTRY_MEMBERS, "connect": {"host": HOST, "port": ready.port}}
    output.line(json.dumps(entry, indent=4))
    output.data.flush()
    if arguments.write_config:
        output.say(write_configuration(CONFIGURATION, entry))
    elif not CONFIGURATION.exists() or NAME not in CONFIGURATION.read_text(encoding="utf-8", errors="replace"):
        output.say(f"add this entry to the configurations of {CONFIGURATION}, or pass --write-config")
    output.say(
        f"waiting for an IDE on {HOST}:{ready.port}; set breakpoints, then start {NAME!r}. Ctrl-C ends the replay"
    )


def _end(channel: Channel, *, is_pdb: bool) -> DebugEnded:
    """Wait for the end. pdb handles Ctrl-C itself."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_pdb else None
    try:
        ended = channel.receive()
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    if not isinstance(ended, DebugEnded):
        raise ForgedMessageError("that is not the end of a replay")
    return ended


def _say_end(ended: DebugEnded, report: ReplayReport, output: Output) -> None:
    for effect in dict.fromkeys(ended.effects):
        output.say(f"refused: {effect}")
    if ended.outcome is None:
        output.say("the replay was left before its end")
    else:
        where = f", differs at {ended.diverged}" if ended.diverged is not None else ""
        output.say(f"the replay in the debugger ended: {ended.outcome}, {counted(ended.calls, 'call')}{where}")
    if ended.diverged is not None and not report.roots:
        output.say("that difference does not affect this execution: the context it is in has finished")
    output.say(f"the verdict stays: {report.verdict.value}")


def write_configuration(path: Path, entry: Mapping[str, Any]) -> str:
    """Add an entry to VS Code's configurations, or replace the one with its name. Comments and other entries are kept.

    Returns:
        What was done, as a sentence.

    Raises:
        CommandError: The file cannot be read or written, or is not such a file.
    """
    text = json.dumps(entry, indent=4)
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.parent.mkdir(exist_ok=True)
        path.write_text(_merged(before, text, str(entry["name"]), path), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot write {path}: {error}") from error
    return f"wrote the entry {entry['name']!r} to {path}"


def _merged(before: str, entry: str, name: str, path: Path) -> str:
    if not before.strip():
        return f'{{\n    "version": "0.2.0",\n    "configurations": [\n{_indented(entry)}\n    ]\n}}\n'
    plain = _without_comments(before)
    try:
        found: Any = json.loads(plain)
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}; add the entry by hand") from None
    start = CONFIGURATIONS.search(plain)
    if not isinstance(found, dict) or start is None or not isinstance(found.get("configurations"), list):
        raise CommandError(f'{path} has no "configurations": add the entry by hand')
    for value, begin, end in _elements(plain, start.end()):
        if isinstance(value, dict) and value.get("name") == name:
            return before[:begin] + _indented(entry).lstrip() + before[end:]
    comma = "," if found["configurations"] else ""
    return f"{before[: start.end()]}\n{_indented(entry)}{comma}{before[start.end() :]}"


def _elements(plain: str, at: int) -> Iterator[tuple[Any, int, int]]:
    """Yield the elements of a list that begins before `at`, and where they are."""
    decoder = json.JSONDecoder()
    while True:
        at += len(plain[at:]) - len(plain[at:].lstrip(" \t\r\n,"))
        if plain[at] == "]":
            return
        value, end = decoder.raw_decode(plain, at)
        yield value, at, end
        at = end


def _without_comments(text: str) -> str:
    """Replace comments and trailing commas by spaces, so that every position stays."""
    kept = JSON_TOKEN.sub(lambda found: found[0] if found[0][0] == '"' else re.sub(r"[^\n]", " ", found[0]), text)
    return TRAILING_COMMA.sub(lambda found: found[0] if found[0][0] == '"' else " ", kept)


def _indented(entry: str) -> str:
    return "\n".join(f"        {line}" for line in entry.splitlines())
