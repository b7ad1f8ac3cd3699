"""Executions to step through in pdb and debugpy, in four styles, and a small client of the Debug Adapter Protocol."""

import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.tui.broken import Broken, Recorded, record

SECONDS = 60.0
ASYNC = """
async def total(ctx: DurableContext, sku: str) -> str:
    found = await ctx.step(reserve(sku))
    return found + "!"


@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    stock = await total(ctx, "A1")
    paid = await ctx.step(charge(5))
    await ctx.wait(timedelta(minutes=5), name="pause")
    await ctx.step(ship(paid))
    return stock
"""
PLAIN = ASYNC.replace("async def", "def").replace("await ", "")
MAP = """
@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    async def one(ctx: DurableContext, sku: str) -> str:
        found = await ctx.step(reserve(sku))
        return found.upper()

    lines = await ctx.map(["A1", "B2"], one, name="lines")
    paid = await ctx.step(charge(5))
    await ctx.wait(timedelta(minutes=5), name="pause")
    await ctx.step(ship(paid))
    return lines.get_results()
"""
GATHER = """
import asyncio


@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    stock, paid = await asyncio.gather(ctx.step(reserve("A1")), ctx.step(charge(5)))
    both = stock + paid
    await ctx.wait(timedelta(minutes=5), name="pause")
    await ctx.step(ship(paid))
    return both
"""
STYLES = {"async": ASYNC, "plain": PLAIN, "map": MAP, "gather": GATHER}


def recorded(style: str, directory: Path, *, is_diverged: bool = False) -> Recorded:
    """Record an execution of a style; today's code may wait for a different operation at its third call."""
    text = STYLES[style]
    today = text.replace('name="pause"', 'name="cool_down"') if is_diverged else text
    return record(Broken(f"{style}_order", text, today), directory)


def line_of(module: Path, text: str) -> int:
    """Return the number of the only line that contains a text."""
    (found,) = (
        number for number, line in enumerate(module.read_text(encoding="utf-8").splitlines(), 1) if text in line
    )
    return found


def command(case: Recorded, *options: str) -> list[str]:
    """Return the command that replays an execution."""
    return [sys.executable, "-m", "durable_debugger", "replay", str(case.history), case.target, "--no-cause", *options]


class DebugClient:
    """A client of the Debug Adapter Protocol: sends requests and waits for what it is told.

    Args:
        port: Where debugpy listens.
        host: The host it listens on.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._connection = socket.create_connection((host, port), timeout=SECONDS)
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        self.thread = 0
        self.transcript: list[dict[str, Any]] = []

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def request(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return the body of its answer."""
        number = self.send(name, **arguments)
        answer = self._until(lambda one: one["type"] == "response" and one["request_seq"] == number)
        assert answer["success"], answer
        return dict(answer.get("body") or {})

    def send(self, name: str, **arguments: Any) -> int:
        """Send a request."""
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": name, "arguments": arguments}
        self.transcript.append(message)
        body = json.dumps(message).encode()
        self._connection.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self._number

    def event(self, *names: str) -> dict[str, Any]:
        """Wait for an event of these names that was not taken yet."""
        for one in self.events:
            if one["event"] in names:
                self.events.remove(one)
                return one
        found = self._until(lambda one: one["type"] == "event" and one["event"] in names)
        self.events.remove(found)
        return found

    def attach(self, breakpoints: dict[Path, list[int]], **arguments: Any) -> None:
        """Attach, set breakpoints and let the replay begin.

        Args:
            breakpoints: Their lines, by file.
            arguments: Those of the request `attach`, in place of `justMyCode`.
        """
        self.request("initialize", adapterID="tests", clientID="tests", pathFormat="path")
        self.send("attach", **(arguments or {"justMyCode": True}))
        self.event("initialized")
        for path, lines in breakpoints.items():
            found = self.request(
                "setBreakpoints", source={"path": str(path)}, breakpoints=[{"line": line} for line in lines]
            )
            assert all(one["verified"] for one in found["breakpoints"])
        self.request("configurationDone")

    def stopped(self) -> tuple[str, str, int]:
        """Wait until the code stops. Returns the reason, and the function and the line of the top frame."""
        found = self.event("stopped", "terminated")
        assert found["event"] == "stopped", "the replay ended"
        self.thread = found["body"]["threadId"]
        top = self.stack()[0]
        return found["body"]["reason"], top["name"], top["line"]

    def stack(self) -> list[dict[str, Any]]:
        """Return the frames, innermost first."""
        return list(self.request("stackTrace", threadId=self.thread)["stackFrames"])

    def variables(self) -> dict[str, str]:
        """Return the local variables of the top frame."""
        scopes = self.request("scopes", frameId=self.stack()[0]["id"])["scopes"]
        found = self.request("variables", variablesReference=scopes[0]["variablesReference"])["variables"]
        return {one["name"]: one["value"] for one in found}

    def evaluate(self, expression: str) -> str:
        """Evaluate in the top frame."""
        frame = self.stack()[0]["id"]
        return str(self.request("evaluate", expression=expression, frameId=frame, context="repl")["result"])

    def step(self, how: str) -> tuple[str, str, int]:
        """Step `next`, `stepIn` or `stepOut`, and wait for the stop."""
        self.request(how, threadId=self.thread)
        return self.stopped()

    def go_on(self) -> None:
        """Continue."""
        self.request("continue", threadId=self.thread)

    def _until(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            message = self._receive()
            self.transcript.append(message)
            if message["type"] == "event":
                self.events.append(message)
            if is_wanted(message):
                return message

    def _receive(self) -> dict[str, Any]:
        while b"\r\n\r\n" not in self._buffer:
            self._take()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        size = int(head.rpartition(b":")[2])
        while len(self._buffer) < size:
            self._take()
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return dict(json.loads(body))

    def _take(self) -> None:
        found = self._connection.recv(1 << 16)
        if not found:
            raise EOFError("debugpy closed the connection")
        self._buffer += found


class AttachedReplay:
    """A replay that waits for an IDE, with a client attached."""

    def __init__(self, case: Recorded, *options: str, host: str = "127.0.0.1") -> None:
        self._process = subprocess.Popen(
            command(case, "--debugpy", "0", *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=case.module.parent,
        )
        self.printed = ""
        self._read_until("waiting for an IDE")
        found = re.search(r'"port": (\d+)', self.printed)
        assert found is not None, self.printed
        self.client = DebugClient(int(found[1]), host)

    def _read_until(self, text: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.printed += line
            if text in line:
                return
        raise AssertionError(self.printed)

    def end(self) -> int:
        """Wait for the end, as an IDE that has seen it. Returns the exit code."""
        self.client.close()
        rest, _ = self._process.communicate(timeout=SECONDS)
        self.printed += rest
        return self._process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        assert self._process.stdout is not None
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Terminal:
    """A command on a terminal of its own, driven by what it prints."""

    def __init__(self, words: list[str], directory: Path) -> None:
        self.pid, self._terminal = pty.fork()
        if not self.pid:
            os.chdir(directory)
            os.execvpe(words[0], words, {**os.environ, "TERM": "dumb", "COLUMNS": "200"})
        self.printed = ""

    def wait_for(self, text: str) -> str:
        """Read until a text appears. Returns what was printed up to there since the last call."""
        deadline = time.monotonic() + SECONDS
        start = len(self.printed)
        while text not in self.printed[start:]:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, left))
            assert ready, f"no {text!r} in:\n{self.printed[start:]}"
            try:
                more = os.read(self._terminal, 1 << 16)
            except OSError:
                more = b""
            assert more, f"it ended without {text!r}:\n{self.printed[start:]}"
            self.printed += more.decode()
        return self.printed[start:]

    def send(self, words: str) -> None:
        """Type a line."""
        os.write(self._terminal, words.encode() + b"\n")

    def ask(self, words: str, prompt: str = "(durable-pdb) ") -> str:
        """Type a line, and return what is printed until the next prompt."""
        self.send(words)
        return self.wait_for(prompt)

    def end(self) -> int:
        """Wait for the end. Returns the exit code."""
        while True:
            try:
                more = os.read(self._terminal, 1 << 16)
            except OSError:
                break
            if not more:
                break
            self.printed += more.decode()
        _, status = os.waitpid(self.pid, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)
