"""Forks: a fork keeps neither its parent's lease nor its workers, and a warm process goes on after a fork."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable_execution.errors import EngineError
from durable_execution.local import LocalEngine
from durable_execution.local.recovery import Lease
from tests.unit.local.scripts import done, register

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks exist on POSIX only"),
]


def run(program: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "debugger", "."])}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: "subprocess.Popen[str]") -> None:
    """Kill a process; its output may still be open in others."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


@pytest.fixture
def grandchild() -> Iterator[list[int]]:
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_a_grandchild_does_not_keep_the_lease(store_file: Path, grandchild: list[int]) -> None:
    program = """
        import os, sys, time
        from durable_execution.local.recovery import Lease
        from pathlib import Path
        lease = Lease(Path(sys.argv[1]), "owner")
        lease.hold()
        ready, started = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(started, b"1")
            time.sleep(600)
        os.read(ready, 1)
        print(pid, flush=True)
        time.sleep(600)
    """
    store_file.parent.mkdir()
    process = run(program, store_file)
    grandchild.append(int(first_line(process)))
    other = Lease(store_file, "other")
    assert not other.is_dead("owner")
    end(process)
    assert other.is_dead("owner")


def test_locks_of_dead_engines_are_removed(store_file: Path) -> None:
    directory = store_file.with_name(store_file.name + "-engines")
    with LocalEngine(store_file) as living:
        register(living, lambda session: done())
        living.run("flow")
        (directory / "dead.lock").touch()
        with LocalEngine(store_file) as engine:
            engine.resume()
            assert sorted(path.name for path in directory.iterdir()) == sorted(
                f"{one._backend.owner}.lock" for one in (living, engine)
            )
    assert list(directory.iterdir()) == []


def test_a_fork_cannot_use_its_parents_engine() -> None:
    with LocalEngine(None) as engine:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                engine.executions()
            except EngineError as error:
                os.write(write, str(error).encode())
            os._exit(0)
        os.close(write)
        message = os.read(read, 4096).decode()
        os.close(read)
        os.waitpid(pid, 0)
    assert "before the process was forked" in message
    assert "Create an engine in the fork" in message


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_warm_process_may_fork(kind: str) -> None:
    """Threads, event loops and connections of the parent do not exist in the fork, or must not be shared."""
    program = """
        import faulthandler, os, sys
        faulthandler.dump_traceback_later(20, exit=True)
        from durable_execution import durable_execution
        from durable_execution.local import LocalEngine

        @durable_execution
        def plain(event, ctx):
            return ctx.step(lambda step: 1, name="a") + ctx.step(lambda step: 2, name="b")

        @durable_execution
        async def coroutine(event, ctx):
            return await ctx.step(lambda step: 1, name="a") + await ctx.step(lambda step: 2, name="b")

        def run():
            with LocalEngine(None, time="skip", max_concurrency=1) as engine:
                engine.register("flow", plain if sys.argv[1] == "def" else coroutine)
                return engine.run("flow", {}).result

        def run_here():
            import tests.unit.fake_service as fakes
            handler = plain if sys.argv[1] == "def" else coroutine
            return fakes.invoke(handler, service=fakes.FakeService())["Result"]

        print(run(), run_here(), flush=True)
        pid = os.fork()
        if pid == 0:
            print(run(), run_here(), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print(run(), run_here(), flush=True)
    """
    output, _ = run(program, kind).communicate(timeout=60)
    assert output.splitlines() == ["3 3", "3 3", "3 3"], output


def test_a_fork_from_one_thread_leaves_the_loops_of_others_alone() -> None:
    """In the fork, the other threads are gone. Closing their loops there would take the parent's from its selector."""
    program = """
        import faulthandler, gc, os, threading
        faulthandler.dump_traceback_later(20, exit=True)
        from durable_execution import durable_execution
        import tests.unit.fake_service as fakes

        @durable_execution
        def plain(event, ctx):
            return ctx.step(lambda step: 1, name="a") + ctx.step(lambda step: 2, name="b")

        def run_here():
            return fakes.invoke(plain, service=fakes.FakeService())["Result"]

        def fork():
            pid = os.fork()
            if pid == 0:
                gc.collect()
                os._exit(0)
            os.waitpid(pid, 0)

        print(run_here(), flush=True)
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        print(run_here(), flush=True)
    """
    output, _ = run(program).communicate(timeout=60)
    assert output.splitlines() == ["3", "3"], output


def test_a_step_may_start_processes() -> None:
    program = """
        import faulthandler, multiprocessing
        faulthandler.dump_traceback_later(20, exit=True)
        from durable_execution import durable_execution
        from durable_execution.local import LocalEngine

        def work(step):
            context = multiprocessing.get_context("fork")
            queue = context.SimpleQueue()
            process = context.Process(target=queue.put, args=(42,))
            process.start()
            process.join()
            return queue.get()

        @durable_execution
        async def flow(event, ctx):
            return await ctx.step(work, name="a")

        with LocalEngine(None, time="skip") as engine:
            engine.register("flow", flow)
            print(engine.run("flow", {}).result)
            print(engine.run("flow", {}).result)
    """
    output, _ = run(program).communicate(timeout=60)
    assert output.splitlines() == ["42", "42"], output


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_workers_die_with_a_killed_server(tmp_path: Path) -> None:
    """Even in the middle of a body, together with the processes the body has started."""
    (tmp_path / "functions.py").write_text(
        textwrap.dedent(
            """
            import os, subprocess, sys, time
            def busy(event, context):
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                print("PIDS", os.getpid(), child.pid, flush=True)
                while True:
                    sum(range(10_000_000))
            """
        )
    )
    program = """
        import sys, time
        from pathlib import Path
        from durable_execution.local import LocalEngine
        from durable_execution.local.http import JsonLog
        from durable_execution.local.http.processes import ProcessHost

        class Printing(JsonLog):
            def write(self, record):
                print(record.get("message"), flush=True)

        with LocalEngine(None) as engine:
            engine.register("busy", ProcessHost(f"{sys.argv[1]}/functions.py:busy", log=Printing(), environment={}))
            engine.start("busy")
            time.sleep(600)
    """
    process = run(program, tmp_path)
    line = first_line(process)
    pids = [int(word) for word in line.split()[1:]]
    assert len(pids) == 2, line
    watched = [os.pidfd_open(pid) for pid in pids]
    end(process)
    for descriptor in watched:
        assert select.select([descriptor], [], [], 10)[0], "a worker has outlived its server"
        os.close(descriptor)
