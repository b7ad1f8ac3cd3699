"""The process that imports a handler, and its forks, which replay recordings and answer with a report for each.

The importing process runs no replay. It forks: a fork starts in the state right after the import, which is what a new
environment of Lambda has, in a few milliseconds. See `durable_execution.replay.workers.supervisor` for the process that starts it.
"""

import faulthandler
import gc
import importlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import Any, NoReturn

from durable_execution import DurableContext, durable_execution
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.observers import CallSite
from durable_execution.redaction import redacted
from durable_execution.replay.isolation.audit_hook import exempt
from durable_execution.replay.isolation.sandbox import Sandbox
from durable_execution.replay.isolation.substitutes import REPLACED, variables_read
from durable_execution.replay.loading import load_handler
from durable_execution.replay.replayed_tree import rooted_at
from durable_execution.replay.replayer import Replayer
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.replay.run import UnknownHandlerError, UnusableHandlerError
from durable_execution.replay.surroundings import seed_random, shift_clock
from durable_execution.replay.suspects import THREAD_ENTRIES, Suspect, user_modules
from durable_execution.replay.workers.channel import KEY_BYTES, Channel, ClosedChannelError, hidden
from durable_execution.replay.workers.messages import (
    BROKEN,
    CUT_OFF,
    Again,
    Challenge,
    Forked,
    Job,
    Outcome,
    Ready,
    Reap,
    Reaped,
    Start,
    Unusable,
)

DUMP_AT = 0.7
"""When a process writes down where every thread is: after this part of the time it has to stop by itself."""

PR_SET_PDEATHSIG = 1


@durable_execution
async def _warm_up(_event: Any, ctx: DurableContext) -> None:
    await ctx.step(lambda _: None, name="warm-up")


def main() -> None:
    """Import a handler and fork for every request, until the supervisor closes the connection."""
    connection = hidden(int(sys.argv[1]))
    channel = Channel(connection, connection_key(connection), is_supervisor=False)
    start: Start = channel.receive()
    sys.argv[:] = [""]
    sandbox = Sandbox(allows_network_at_import=start.allows_network_at_import, has_landlock=start.has_landlock)
    replay_something()
    shift_clock(start.clock_offset)
    if start.random_seed is not None:
        seed_random(start.random_seed)
        importlib.import_module("durable_execution.replay.cause.reproduction")  # once, and not in each of its forks
    sandbox.before_import()
    try:
        with variables_read() as variables:
            handler = load_handler(start.reference)
    except UnusableHandlerError as error:
        channel.send(Unusable(str(error), is_unknown=isinstance(error, UnknownHandlerError)))
        os._exit(0)
    sandbox.after_import()
    sandbox.site = _site(handler)
    directory = os.path.dirname(sandbox.site.file)  # noqa: PTH120  # text of a code object
    channel.send(
        Ready(
            handler.name,
            directory,
            sandbox.layers,
            sandbox.import_effects(),
            sandbox.gaps(),
            variables,
            values_beside_each_other(),
        )
    )
    gc.collect()
    gc.freeze()
    try:
        _fork_on_request(channel, handler, sandbox, start)
    except ClosedChannelError:
        os._exit(0)


THREAD_ENTRIES.add(id(main.__code__))  # the code that calls it is the command line's


def values_beside_each_other() -> tuple[tuple[str, ...], ...]:
    """The values of each enum in user modules whose values are texts, and the keys of each table."""
    known = [value for module in user_modules() for value in list(vars(module).values())]
    enums = {
        tuple(one.value for one in value) for value in known if isinstance(value, type) and issubclass(value, Enum)
    }
    tables = {tuple(value) for value in known if type(value) is dict and len(value) <= MAX_KEYS}
    groups = (*sorted(map(_texts, enums)), *sorted(map(_texts, tables)))
    return tuple(group for group in groups if len(group) > 1)


MAX_KEYS = 30
"""Most keys of a dictionary that is taken for a table of choices, and not for data."""


def _texts(values: tuple[object, ...]) -> tuple[str, ...]:
    """The values, if all of them are texts; else none."""
    return tuple(one for one in values if isinstance(one, str)) if all(isinstance(one, str) for one in values) else ()


def connection_key(connection: socket.socket) -> bytes:
    """Read the key of a channel, which comes before its first message."""
    key = b""
    while len(key) < KEY_BYTES:
        more = connection.recv(KEY_BYTES - len(key))
        if not more:
            os._exit(0)
        key += more
    return key


def _site(handler: Any) -> CallSite:
    code = getattr(getattr(handler.function, "__wrapped__", handler.function), "__code__", None)
    if code is None:
        return CallSite("<handler>", 0, handler.name)
    return CallSite(code.co_filename, code.co_firstlineno, code.co_qualname)


def replay_something() -> None:
    """Replay an empty execution, so that every module a replay needs is loaded before the handler's."""
    started = {"EventType": "ExecutionStarted", "EventId": 1, "EventTimestamp": 0, "ExecutionStartedDetails": {}}
    Replayer(_warm_up).replay(read_history([started]))


def _fork_on_request(channel: Channel, handler: Any, sandbox: Sandbox, start: Start) -> NoReturn:
    is_prepared = False
    while True:
        request, descriptors = channel.receive_descriptors(2)
        with exempt():
            if isinstance(request, Reap):
                channel.send(_reaped(request))
                continue
            if request.expects_differences and not is_prepared:
                is_prepared = True
                prepare_for_differences(handler)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # threads that the handler's module started do not come along
                pid = os.fork()
        if not pid:
            channel.close()
            _work(request.key, descriptors, handler, sandbox, start)
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(Forked(pid))


def prepare_for_differences(handler: Any) -> None:
    """Load what the report of a difference needs, and read the handler's source: here once, and not in each fork."""
    with suppress(Exception):  # a fork tries again, and what fails there becomes part of its report
        from durable_execution.replay.cause.observed_cause import findings_for

        importlib.import_module("durable_execution.replay.cause.explained")
        findings_for(handler.function)
    gc.freeze()


def _reaped(request: Reap) -> Reaped:
    deadline = time.monotonic() + request.seconds
    pid, status = os.waitpid(request.pid, os.WNOHANG)
    while not pid and time.monotonic() < deadline:
        time.sleep(0.005)
        pid, status = os.waitpid(request.pid, os.WNOHANG)
    was_running = not pid
    if was_running:
        os.kill(request.pid, signal.SIGKILL)
        _, status = os.waitpid(request.pid, 0)
    return Reaped(os.waitstatus_to_exitcode(status), was_running)


def _work(key: bytes, descriptors: list[int], handler: Any, sandbox: Sandbox, start: Start) -> NoReturn:
    """Be a process that replays."""
    if start.random_seed is not None:
        seed_random(start.random_seed)  # Python seeds `random` again in every fork
    try:
        with exempt():
            connection = hidden(descriptors[0])
            for standard in (1, 2):
                os.dup2(descriptors[1], standard)
            os.close(descriptors[1])
            _limit(start.memory)
        sandbox.enter([connection.fileno()])
        channel = Channel(connection, key, is_supervisor=False)
        job: Job = channel.receive()
        is_again = False
        while True:
            outcome = _outcome(job, handler, sandbox)
            if is_again and outcome.report.is_same:
                outcome = replace(outcome, report=replace(outcome.report, rows=()))
            channel.send(outcome)
            challenge: Challenge = channel.receive()
            channel.send(challenge)
            request: Job | Again = channel.receive()
            is_again = isinstance(request, Again)
            if not isinstance(request, Again):
                job = request
    except ClosedChannelError:
        os._exit(CUT_OFF)
    except BaseException:  # noqa: BLE001  # the supervisor sees that the process ended, and reads why
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(BROKEN)


def end_with_parent() -> None:
    """Let the kernel end this process with the one that started it, where it can."""
    import ctypes

    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(memory: int) -> None:
    """Limit what this process may take, and let it end with its parent."""
    import resource

    end_with_parent()
    if sys.platform.startswith("linux"):
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # a file of the kernel
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(2, all_threads=True)


def _outcome(job: Job, handler: Any, sandbox: Sandbox) -> Outcome:
    if job.lines:
        from durable_execution.replay.cause.reproduction import variants_here  # not needed where nothing differs

        variants = variants_here(
            handler,
            job.execution,
            seconds=job.seconds,
            count=job.lines,
            name=job.source,
            opened=job.opened,
            calls_only=job.calls_only,
            blank=job.blank,
            stepping=job.stepping,
        )
        wires = tuple(one.to_wire() for one in variants)
        return Outcome(ReplayReport(job.source, handler.name, Verdict.SAME), is_worn=True, variants=wires)
    before = _Surroundings()
    sandbox.begin()
    faulthandler.dump_traceback_later(job.seconds + DUMP_AT * job.grace, file=2)
    try:
        report = _replayed(job, handler)
    except UnusableHandlerError as error:
        report = ReplayReport(job.source, handler.name, Verdict.FAILED, error=str(error))
    except MemoryError:
        report = ReplayReport(job.source, handler.name, Verdict.MEMORY, error="the replay ran out of memory")
    except Exception as error:  # noqa: BLE001  # code that breaks the replay itself is a verdict about it
        report = ReplayReport(
            job.source, handler.name, Verdict.FAILED, error=redacted(f"{type(error).__name__}: {error}")
        )
    finally:
        faulthandler.cancel_dump_traceback_later()
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    report = _with_effects(report, sandbox.stray_effects())
    changes = before.changes()
    behind = [f"a thread that ran before the replay was refused {one}" for one in sandbox.background_effects()]
    report = replace(report, notes=(*report.notes, *changes, *behind))
    is_worn = bool(changes) or before.has_more_threads() or report.verdict in (Verdict.STUCK, Verdict.MEMORY)
    paths = _renamed(job.execution, report)
    return Outcome(replace(report, execution=None, rows=report.rows if job.has_rows else ()), paths, is_worn)


def _replayed(job: Job, handler: Any) -> ReplayReport:
    if job.is_every_prefix:
        from durable_execution.replay.checks import replay_every_prefix  # needed for this option only

        return replay_every_prefix(handler, job.execution, source=job.source)
    replayer = Replayer(handler, seconds=job.seconds, cause=False, explains=job.explains)
    report = replayer.replay(job.execution, source=job.source)
    if job.order_seed is None or not report.is_same:
        return report
    from durable_execution.replay.reorder import divergence_in_order  # needed for this job only

    found = divergence_in_order(handler, job.execution, seed=job.order_seed, seconds=job.seconds)
    return report if found is None else replace(report, divergences=(found,), verdict=Verdict.UNSTABLE)


def _with_effects(report: ReplayReport, effects: tuple[Suspect, ...]) -> ReplayReport:
    if not effects:
        return report
    verdict = Verdict.EFFECTS if report.verdict is Verdict.SAME else report.verdict
    return replace(report, effects=(*report.effects, *effects), verdict=verdict)


def _renamed(execution: RecordedExecution, report: ReplayReport) -> tuple[tuple[int, str], ...]:
    if report.execution is None or not any("/context@" in one.path for one in execution.operations):
        return ()  # only virtual contexts are named after the replay
    plain = rooted_at(execution, report.handler)
    pairs = enumerate(zip(plain.operations, report.execution.operations, strict=False))
    return tuple((index, after.path) for index, (before, after) in pairs if before.path != after.path)


class _Surroundings:
    """What code can change about its process for the code that runs there next."""

    def __init__(self) -> None:
        self._directory = _directory()
        self._environment = dict(os.environ)
        self._threads = threading.active_count()

    def changes(self) -> list[str]:
        """Return what changed, one line each."""
        found: list[str] = []
        if _directory() != self._directory:
            found.append(f"the code changed the working directory to {_directory()}; other recordings do not see that")
        now = dict(os.environ)
        different = (name for name in {*now, *self._environment} if now.get(name) != self._environment.get(name))
        names = sorted(name for name in different if name not in REPLACED or now.get(name) != REPLACED[name])
        if names:
            found.append(
                f"the code changed environment variables ({', '.join(names)}); other recordings do not see that"
            )
        return found

    def has_more_threads(self) -> bool:
        """Whether threads are left that were not there before."""
        return threading.active_count() > self._threads


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # a plain text to compare
    except OSError:
        return "a directory that no longer exists"
