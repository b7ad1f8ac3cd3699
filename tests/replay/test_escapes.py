"""What code can do outside of steps: with nothing on, each act has an effect; in a replay worker, none, and it is reported."""

import fcntl
import json
import os
import pty
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.history.reading import read_history
from durable_execution.replay.isolation import landlock
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.replay.workers.pool import ReplayPool
from durable_execution.replay.workers.supervisor import Task, WorkerOptions
from tests.replay.recording import history_of

HERE = Path(__file__).parent
SHARED_MEMORY = Path("/dev/shm")  # where the system has it

SAFE_AT_ONCE = frozenset({"held_thread", "nothing"})
"""What needs no report of its own: a thread of the import does not exist in a replay, which the report's header says."""

UNNOTICED = frozenset({"compiled_chmod", "compiled_priority"})
"""What no layer sees or stops: effects of compiled code that Landlock does not cover; see docs/determinism.md."""

STOPPED_SINCE = {
    "compiled_creat": 1,
    "compiled_connect": landlock.NETWORK_SINCE,
    "compiled_kill": landlock.SCOPES_SINCE,
}
"""What only the kernel stops: what compiled code does by itself; and the version of Landlock that does."""

FAILING = frozenset({"held_alarm", "held_signal", "held_copy_range", "held_transport"})
"""What fails in a replay for a reason of its own, such as a signal that only reaches the main thread."""

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="acts are written for Linux"),
    pytest.mark.timeout(180),
]
HANDLER = """
import inspect
from pathlib import Path
from escapes import ACTS
from durable_execution import durable_execution

@durable_execution
async def flow(event, ctx):
    await ctx.step(lambda _: 1, name="a")
    found = ACTS[event["name"]](Path(event["place"]))
    if inspect.isawaitable(found):
        found = await found
    del found
    await ctx.step(lambda _: 1, name="b")
"""
DRIVER = """
import asyncio, atexit, gc, inspect, os, sys, json, traceback
import durable_execution
from pathlib import Path
from escapes import ACTS

async def run(act, place):
    found = act(place)
    if inspect.isawaitable(found):
        await found

for line in sys.stdin:
    name, place = json.loads(line)
    child = os.fork() if name != "held_thread" else 0
    if not child:
        try:
            asyncio.run(run(ACTS[name], Path(place)))
        except BaseException:
            traceback.print_exc()
        gc.collect()
        if name != "held_thread":
            atexit._run_exitfuncs()
            os._exit(0)
    else:
        os.waitpid(child, 0)
    print("done", flush=True)
"""


@durable_execution
async def neutral(event: Any, ctx: DurableContext) -> None:
    await ctx.step(lambda _: 1, name="a")
    await ctx.step(lambda _: 1, name="b")


@dataclass
class Place:
    """A directory, servers and a process that escapes leave marks on."""

    top: Path
    stack: ExitStack = field(default_factory=ExitStack)
    servers: list[socket.socket] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    last: Path | None = None

    @property
    def shared(self) -> str:
        """Prefix of the names of shared memory: other tests run at the same time."""
        return f"escape-{self.top.parent.name}"

    def prepare(self) -> None:
        self.top.mkdir()
        for name in ("held.bin", "mapped.bin"):
            (self.top / name).write_bytes(b"\0" * 64)
        (self.top / "module.py").write_text("VALUE = 1\n", encoding="utf-8")
        (self.top / "escape_at_import.py").write_text("import os\nopen(os.environ['ESCAPE_TO'], 'w').close()\n")
        subprocess.run(
            [sys.executable, "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('create table t (x)')",
             self.top / "held.sqlite"], check=True,
        )  # fmt: skip
        shutil.copy(HERE / "escapes.py", self.top)
        (self.top / "escape_handler.py").write_text(HANDLER, encoding="utf-8")
        self.victim = self.stack.enter_context(
            subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)  # ended below
        )
        self.stack.callback(self.victim.kill)
        self.stack.callback(self.disconnect)
        tcp = self._server(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = self._server(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        unix = str(self.top / "socket")
        self._server(socket.AF_UNIX, socket.SOCK_STREAM, unix)
        self._server(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + unix)
        self.main, other = pty.openpty()
        self.fifo = self._named_pipe()
        for descriptor in (self.main, other, self.fifo):
            self.stack.callback(os.close, descriptor)
        self.environment = {
            "ESCAPES": json.dumps({
                "directory": str(self.top), "victim": self.victim.pid, "tcp": tcp, "udp": udp, "unix": unix,
                "is_connected": True, "shared": self.shared, "terminal": os.ttyname(other), "fifo": str(self.top / "fifo"),
            }),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip

    def _named_pipe(self) -> int:
        os.mkfifo(self.top / "fifo")
        descriptor = os.open(self.top / "fifo", os.O_RDWR | os.O_NONBLOCK)
        os.write(descriptor, b"x" * 1000)
        return descriptor

    def _server(self, family: int, kind: int, address: Any) -> Any:
        server = self.stack.enter_context(socket.socket(family, kind))
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen(100)
        server.setblocking(False)
        self.servers.append(server)
        return server.getsockname()[1] if family == socket.AF_INET else address

    def new(self, name: str) -> Path:
        """Make a directory for an act. That of the act before stays, so that what comes late is seen."""
        place = self.top / f"in-{name}"
        for older in {*self.top.glob("in-*"), place} - {self.last}:
            shutil.rmtree(older, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)
        self.last = place
        (place / "empty").mkdir(parents=True)
        (place / "there").write_text("there", encoding="utf-8")
        (place / "there").chmod(0o644)
        return place

    def look(self) -> dict[str, Any]:
        """Everything there is to see."""
        seen: dict[str, Any] = {}
        for path in sorted(self.top.rglob("*")):
            found = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            attributes = os.listxattr(path) if path.is_file() else []
            seen[str(path)] = (found.st_mode, found.st_mtime_ns, found.st_ctime_ns, content, attributes)
        seen["shared memory"] = sorted(SHARED_MEMORY.glob(f"{self.shared}-*"))
        seen["victim"] = self.is_stopped()
        seen["limits"] = resource.prlimit(self.victim.pid, resource.RLIMIT_CORE)
        seen["priority"] = os.getpriority(os.PRIO_PROCESS, self.victim.pid)
        seen["terminal"] = termios.tcgetattr(self.main), termios.tcgetwinsize(self.main)
        seen["fifo"] = fcntl.ioctl(self.fifo, termios.FIONREAD, bytes(4))
        return seen

    def disconnect(self) -> None:
        for connection in self.connections:
            connection.close()

    def is_stopped(self) -> bool:
        return Path(f"/proc/{self.victim.pid}/stat").read_text(encoding="ascii").split()[2] == "T"

    def heard(self) -> int:
        """How many connections were made, and how many bytes arrived, since the last look."""
        number = 0
        while ready := select.select([*self.servers, *self.connections], [], [], 0)[0]:
            for one in ready:
                if one in self.connections:
                    number += self._received(one)
                elif one.type == socket.SOCK_DGRAM:
                    number += len(one.recv(100))
                else:
                    self.connections.append(one.accept()[0])
                    number += 1
        return number

    def _received(self, connection: socket.socket) -> int:
        try:
            data = connection.recv(100)
        except OSError:
            data = b""
        if not data:
            self.connections.remove(connection)
            connection.close()
        return len(data)

    def settle(self) -> None:
        """Undo what lasts."""
        os.kill(self.victim.pid, signal.SIGCONT)
        while self.is_stopped():
            time.sleep(0.001)
        for path in SHARED_MEMORY.glob(f"{self.shared}-*"):
            path.unlink()
        self.heard()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    made = Place(tmp_path / "place")
    with made.stack:
        made.prepare()
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(str(made.top))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield made


def names() -> list[str]:
    source = "import escapes, json; print(json.dumps(list(escapes.ACTS)))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def effects_in_a_plain_process(place: Place, wanted: list[str]) -> set[str]:
    found: set[str] = set()
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=place.top,
    )  # fmt: skip
    assert driver.stdin
    assert driver.stdout
    with driver:
        for name in ("nothing", *wanted):
            directory = place.new(name)
            place.settle()
            before = place.look()
            driver.stdin.write(json.dumps([name, str(directory)]) + "\n")
            driver.stdin.flush()
            line = driver.stdout.readline()
            while line and line != "done\n":
                line = driver.stdout.readline()
            assert line, f"{name} ended the process"
            found.discard(name)
            if place.look() != before or place.heard():
                found.add(name)
        driver.kill()
    return found


def replays(place: Place, wanted: list[str], options: WorkerOptions) -> tuple[dict[str, ReplayReport], set[str]]:
    events, arn = history_of(neutral)
    recording = read_history(events, arn=arn)
    reports: dict[str, ReplayReport] = {}
    escaped: set[str] = set()
    with ReplayPool(options) as pool:
        for name in ("nothing", *wanted):
            for _ in range(2):  # what else happens on a machine does not happen twice
                directory = place.new(name)
                place.settle()
                before = place.look()
                payload = json.dumps({"name": name, "place": str(directory)})
                task = Task(0, name, replace(recording, input=payload), f"{place.top}/escape_handler.py:flow")
                (reports[name],) = pool.replay([task])
                after, heard = place.look(), place.heard()
                escaped.discard(name)
                if after == before and not heard:
                    break
                print(name, heard, [key for key in after if after[key] != before.get(key)])
                escaped.add(name)
    return reports, escaped


OPTIONS = WorkerOptions(seconds=5, jobs=1, is_fresh=True, allows_network_at_import=True)


def test_each_has_an_effect_with_nothing_on(place: Place) -> None:
    wanted = names()
    wanted.sort(key=lambda name: name == "held_thread")  # it is not forked for, and comes last
    assert len(wanted) > 170
    assert effects_in_a_plain_process(place, wanted) == set(wanted) - {"nothing"}


@pytest.mark.new_interpreter
@pytest.mark.parametrize("has_landlock", [False, True], ids=["hook and tripwires", "with Landlock"])
def test_none_has_an_effect_in_a_worker(place: Place, has_landlock: bool) -> None:
    if has_landlock and not landlock.version():
        pytest.skip("this kernel has no Landlock")
    wanted = names()
    reports, escaped = replays(place, wanted, replace(OPTIONS, has_landlock=has_landlock))
    version = landlock.version() if has_landlock else 0
    gaps = UNNOTICED | {name for name, since in STOPPED_SINCE.items() if since > version}
    assert escaped == gaps
    kinds = {name: report.verdict for name, report in reports.items() if report.verdict is not Verdict.EFFECTS}
    unreported = SAFE_AT_ONCE | UNNOTICED | STOPPED_SINCE.keys()  # the kernel refuses, and C code need not tell
    assert {name for name, verdict in kinds.items() if verdict is Verdict.SAME} == unreported
    assert {name for name, verdict in kinds.items() if verdict is not Verdict.SAME} <= FAILING, kinds
    assert set(kinds.values()) <= {Verdict.SAME, Verdict.FAILED}, kinds
    silent = {name for name, report in reports.items() if not report.effects and not report.error}
    assert silent == unreported
    (layers,) = {report.isolation for report in reports.values()}
    assert ("Landlock" in layers) is has_landlock
    (header,) = {report.at_import for report in reports.values()}
    assert any("thread" in line for line in header)
    assert any("mapped.bin, mapped as shared memory at import, is a private copy" in line for line in header)
