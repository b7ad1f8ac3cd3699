"""What a module opens when it is imported, in replays: its own use of it works, and nothing that others would notice goes unreported."""

import sys
from pathlib import Path

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.history.reading import read_history
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.replay.workers.pool import ReplayPool
from durable_execution.replay.workers.supervisor import Task, WorkerOptions
from tests.replay.recording import history_of

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tripwires look into /proc"),
    pytest.mark.timeout(60),
]

PROGRAM = """
import asyncio, fcntl, mmap, multiprocessing, os, socket, struct, subprocess, tempfile
from durable_execution import durable_execution

{at_import}
KEPT = []

def name_of_last():
    {body}
    return "b"

@durable_execution
{function} flow(event, ctx):
    {wait} ctx.step(lambda _: 1, name="a")
    {wait} ctx.step(lambda _: 1, name=name_of_last())
"""

HARMLESS = {
    "a context variable": (
        "import contextvars; TENANT = contextvars.ContextVar('tenant'); TENANT.set('acme')",
        "assert TENANT.get() == 'acme'",
    ),
    "the precision of decimals": (
        "import decimal; decimal.getcontext().prec = 4",
        "assert str(decimal.Decimal(1) / 3) == '0.3333'",
    ),
    "a database of the thread of the import": (
        "import sqlite3; DATABASE = sqlite3.connect(':memory:')",
        "assert DATABASE.execute('select 7').fetchone() == (7,)",
    ),
    "a loop of its own": (
        "LOOP = asyncio.new_event_loop()",
        "assert LOOP.run_until_complete(asyncio.to_thread(lambda: 5)) == 5",
    ),
    "a loop that is woken": (
        "LOOP = asyncio.new_event_loop()",
        "LOOP.call_soon_threadsafe(LOOP.stop); LOOP.run_forever()",
    ),
    "a file without a name": (
        "FILE = tempfile.TemporaryFile(); FILE.write(b'x'); FILE.flush()",
        "FILE.seek(0); assert FILE.read() == b'x'",
    ),
    "a pipe with both ends": ("ENDS = os.pipe()", "os.write(ENDS[1], b'x'); assert os.read(ENDS[0], 1) == b'x'"),
    "a pair of sockets": (
        "A, B = socket.socketpair()",
        "os.write(A.fileno(), b'x'); assert os.read(B.fileno(), 1) == b'x'",
    ),
    "memory that is not changed": ("MEMORY = mmap.mmap(-1, 4096); MEMORY[0] = 7", "assert MEMORY[0] == 7"),
    "requests that only read": (
        "FILE = open(__file__)",
        "assert fcntl.fcntl(FILE, fcntl.F_GETFL) is not None; fcntl.flock(FILE, fcntl.LOCK_UN)",
    ),
    "a database in memory": (
        "import sqlite3; DATABASE = sqlite3.connect(':memory:', check_same_thread=False)",
        "assert DATABASE.execute('select 1').fetchone() == (1,); sqlite3.connect(':memory:').close()",
    ),
}

EFFECTS = {
    "an event counter": ("COUNTER = os.eventfd(0)", "os.eventfd_write(COUNTER, 1)"),
    "a pipe that a program may read": (
        "ENDS = os.pipe(); subprocess.run(['true'], pass_fds=ENDS)",
        "os.write(ENDS[1], b'x')",
    ),
    "memory that a program may read": (
        "MEMORY = mmap.mmap(-1, 4096); subprocess.run(['true'])",
        "MEMORY[0] += 1",
    ),
    "a lock": ("", "KEPT.append(open(__file__)); fcntl.flock(KEPT[0], fcntl.LOCK_EX)"),
    "a lease": ("", "KEPT.append(open(__file__)); fcntl.fcntl(KEPT[0], fcntl.F_SETLEASE, fcntl.F_RDLCK)"),
    "a port": ("", "KEPT.append(socket.socket()); KEPT[0].listen()"),
    "a socket to the kernel": (
        "",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2).send(struct.pack('IHHII', 16, 0, 0, 0, 0))",
    ),
    "a signal": ("", "os.kill(os.getppid(), 0)"),
}


GAPS = {
    "closing a connection": ("A, _ = socket.socketpair(); B = A.dup(); A.close()", "B.close()"),
    "what runs at the end of the process": ("import threading", "threading._register_atexit(print, 'x')"),
    "the judge itself": (
        "import durable_execution.replay.isolation.audit_hook as judging",
        "judging._hook.everywhere = None; judging.current.set(None); os.sched_getaffinity(0); os.kill(os.getpid(), 0)",
    ),
}
"""What docs/determinism.md says is not reported."""


def replayed(tmp_path: Path, program: tuple[str, str], *, is_async: bool) -> ReplayReport:
    async def flow(_event: object, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="a")
        await ctx.step(lambda _: 1, name="b")

    events, arn = history_of(durable_execution(flow))
    function, wait = ("async def", "await") if is_async else ("def", "")
    source = PROGRAM.format(at_import=program[0], body=program[1], function=function, wait=wait)
    (tmp_path / "opens.py").write_text(source, encoding="utf-8")
    with ReplayPool(WorkerOptions(seconds=5, jobs=1, finds_cause=False)) as pool:
        (report,) = pool.replay([Task(0, "x", read_history(events, arn=arn), f"{tmp_path}/opens.py:flow")])
    return report


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_module_uses_itself_still_works(tmp_path: Path, name: str) -> None:
    is_async = "loop" not in name  # a loop cannot run inside another
    report = replayed(tmp_path, HARMLESS[name], is_async=is_async)
    assert (report.verdict, report.error, report.effects) == (Verdict.SAME, None, ())


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
def test_what_others_would_notice_is_reported(tmp_path: Path, name: str, is_async: bool) -> None:
    report = replayed(tmp_path, EFFECTS[name], is_async=is_async)
    assert report.verdict is Verdict.EFFECTS
    assert report.effects[0].site.file == f"{tmp_path}/opens.py"


@pytest.mark.parametrize("name", GAPS)
def test_what_the_documentation_says_is_not_reported(tmp_path: Path, name: str) -> None:
    assert replayed(tmp_path, GAPS[name], is_async=True).verdict is Verdict.SAME


@pytest.mark.parametrize(
    ("at_import", "counted"),
    [
        ("MEMORY = mmap.mmap(-1, 4096)", "MEMORY[0] += 1; return 'b' if MEMORY[0] == 1 else 'c'"),
        ("COUNT = multiprocessing.Value('i', 0)", "COUNT.value += 1; return 'b' if COUNT.value == 1 else 'c'"),
    ],
)
def test_memory_that_processes_share_is_that_of_a_new_process_in_each(
    tmp_path: Path, at_import: str, counted: str
) -> None:
    """The second replay differs, in the process of the first; a new process starts where the import ended."""
    assert replayed(tmp_path, (at_import, counted), is_async=True).verdict is Verdict.UNSTABLE
