"""Starts, questions and ends the processes that replay recordings.

Each handler is imported in one process. That process forks, and the forks replay recordings, one after another.
"""

import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from durable_execution.errors import DurableError
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay.cause.reproduction import Variant
from durable_execution.replay.lines.probes import Stepping
from durable_execution.replay.replayer import DEFAULT_SECONDS
from durable_execution.replay.report import ReplayReport
from durable_execution.replay.run import UnknownHandlerError, UnusableHandlerError
from durable_execution.replay.surroundings import Surroundings
from durable_execution.replay.workers.channel import (
    KEY_BYTES,
    Channel,
    ClosedChannelError,
    ForgedMessageError,
)
from durable_execution.replay.workers.messages import (
    Again,
    Challenge,
    Fork,
    Forked,
    Job,
    Outcome,
    Ready,
    Reap,
    Reaped,
    Start,
    Unusable,
)

WORKER = "durable_execution.replay.workers.worker"
MEMORY = 1 << 30
IMPORT_SECONDS = 120.0
ANSWER_SECONDS = 10.0
MAX_OUTPUT = 1 << 16
EVERY_PREFIX_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How recordings are replayed in processes of their own.

    Attributes:
        seconds: Time limit for each recording.
        grace: How many seconds after its time limit a replay may take to stop by itself, before its process is ended.
        jobs: How many processes replay at the same time; None is one per core.
        is_fresh: Whether each recording has a process that has replayed nothing before.
        memory: How many bytes a replay may allocate on top of what the import of its handler needed.
        allows_network_at_import: Whether the handler's module may use the network when it is imported.
        has_landlock: Whether to use Landlock where the kernel has it.
        is_every_prefix: Whether to replay each earlier state of a recording as well.
        has_rows: Whether reports need the calls side by side, which `--json` and the formats of CI do not.
        perturbs: Whether to replay each recording under perturbations as well.
        finds_cause: Whether to look for the line that makes a difference, by further replays.
    """

    seconds: float = DEFAULT_SECONDS
    grace: float = 5.0
    jobs: int | None = None
    is_fresh: bool = False
    memory: int = MEMORY
    allows_network_at_import: bool = False
    has_landlock: bool = True
    is_every_prefix: bool = False
    has_rows: bool = True
    finds_cause: bool = True
    perturbs: bool = False


@dataclass(slots=True)
class Task:
    """A recording on its way to a report.

    Attributes:
        index: Its number among the recordings.
        source: Its name.
        execution: The recording.
        reference: The handler.
        before: The report of a process that had replayed before, while a new process checks it.
        first: The report of the first replay, while the same process repeats it.
    """

    index: int
    source: str
    execution: RecordedExecution
    reference: str
    before: ReplayReport | None = None
    first: ReplayReport | None = None


class ReplayProcess:
    """A process that replays."""

    def __init__(self, home: "HandlerProcess", channel: Channel, pid: int, output: IO[bytes]) -> None:
        self.home, self.channel, self.pid, self.output = home, channel, pid, output
        self.replays = 0
        self.task: Task | None = None
        self.deadline = 0.0
        self.last_output = ""
        self._read = 0

    def assign(self, task: Task, options: WorkerOptions, *, order_seed: int | None = None) -> None:
        """Send a job.

        Args:
            task: The recording.
            options: How to replay it.
            order_seed: Seed of an order in which recorded operations complete, which is tried as well; None for none.

        Raises:
            ClosedChannelError: The process has ended.
        """
        seconds = self._begin(task, options)
        # a replay needs the traces only to cut the recording: their facts are in the operations already
        execution = task.execution if options.is_every_prefix else replace(task.execution, traces=())
        self.channel.send(
            Job(
                execution,
                task.source,
                seconds,
                options.grace,
                options.is_every_prefix,
                options.has_rows,
                explains=not options.finds_cause,
                order_seed=order_seed,
            )
        )

    def repeat(self, task: Task, options: WorkerOptions) -> None:
        """Ask to replay the recording of the last job once more.

        Raises:
            ClosedChannelError: The process has ended.
        """
        self._begin(task, options)
        self.channel.send(Again())

    def _begin(self, task: Task, options: WorkerOptions) -> float:
        """Note what the process works on from now on. Returns the time limit in seconds."""
        seconds = options.seconds if not options.is_every_prefix else max(options.seconds, EVERY_PREFIX_SECONDS)
        self.task, self.replays = task, self.replays + 1
        self.deadline = time.monotonic() + seconds + options.grace
        return seconds

    def record_lines(
        self,
        execution: RecordedExecution,
        name: str,
        *,
        count: int,
        seconds: float,
        opened: frozenset[str] = frozenset(),
        calls_only: bool = False,
        blank: tuple[int, int] | None = None,
        stepping: Stepping | None = None,
    ) -> list[Variant]:
        """Replay in this process and record each replay by line, or its calls only; see `variants_here`.

        Raises:
            ClosedChannelError: The process has ended.
            ForgedMessageError: Something other than the worker answered.
            TimeoutError: There was no answer in time.
        """
        self.channel.send(
            Job(
                replace(execution, traces=()),
                name,
                seconds,
                0,
                lines=count,
                calls_only=calls_only,
                blank=blank,
                opened=opened,
                stepping=stepping,
            )
        )
        self.wait(seconds)
        return [Variant.from_wire(one) for one in self.answer().variants]

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the answer.

        Args:
            seconds: For how long; None is until the deadline of its job.

        Raises:
            TimeoutError: There was none in time.
        """
        left = max(0.0, self.deadline - time.monotonic()) if seconds is None else seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.channel, selectors.EVENT_READ)
            if not selector.select(left):
                raise TimeoutError

    def answer(self) -> Outcome:
        """Take the answer, and make sure that the process that gave it is alive.

        Raises:
            ClosedChannelError: The process has ended.
            ForgedMessageError: The answer does not come from the worker.
        """
        try:
            outcome = self.channel.receive(seconds=ANSWER_SECONDS)
            challenge = Challenge(secrets.token_bytes(16))
            self.channel.send(challenge)
            reply = self.channel.receive(seconds=ANSWER_SECONDS)
        except TimeoutError:
            raise ForgedMessageError("the worker's answer breaks off") from None
        if not isinstance(outcome, Outcome) or reply != challenge:
            raise ForgedMessageError("the worker's answer is not a report")
        return outcome

    def printed(self) -> str:
        """Return what was written to stdout and stderr since the last look."""
        size = os.fstat(self.output.fileno()).st_size
        start = max(self._read, size - MAX_OUTPUT)
        self._read = size
        return os.pread(self.output.fileno(), size - start, start).decode("utf-8", "replace")

    def end(self, *, seconds: float = 0) -> Reaped | None:
        """End the process.

        Args:
            seconds: How long to wait for it to end by itself.

        Returns:
            How it ended; None when that is not known.
        """
        try:
            return self.home.reap(self.pid, seconds)
        finally:
            self.channel.close()
            self.last_output = self.printed()
            self.output.close()


class HandlerProcess:
    """The process that has imported a handler, from which others are forked.

    Args:
        reference: The handler.
        options: How to replay.
        surroundings: What it finds around it.
        waits: Whether to wait until it has imported the handler; else call `wait_until_ready` before anything else.

    Raises:
        UnusableHandlerError: The handler cannot be imported.
    """

    ready: Ready

    def __init__(
        self, reference: str, options: WorkerOptions, surroundings: Surroundings | None = None, *, waits: bool = True
    ) -> None:
        self.reference = reference
        self.repeats = 0
        self.expects_differences = False
        surroundings = surroundings or Surroundings("")
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        try:
            self._process, self._channel = start_process(
                WORKER,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
                env=surroundings.environment(),
            )
        except BaseException:
            self._output.close()
            raise
        with suppress(ClosedChannelError):  # it has ended already, which the next message shows
            self._channel.send(
                Start(
                    self.reference,
                    options.memory,
                    options.allows_network_at_import,
                    options.has_landlock,
                    surroundings.clock_offset,
                    surroundings.random_seed,
                )
            )
        if waits:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until the handler is imported.

        Raises:
            UnusableHandlerError: It cannot be imported.
        """
        try:
            answer = self._channel.receive(seconds=IMPORT_SECONDS)
        except TimeoutError:
            self.close()
            raise UnusableHandlerError(
                f"cannot import {self.reference}: its module did not finish importing within {IMPORT_SECONDS:g} s"
            ) from None
        except (ClosedChannelError, ForgedMessageError):
            why = self._last_words()
            self.close()
            status = describe_exit(self._process.returncode)
            raise UnusableHandlerError(
                f"cannot import {self.reference}: the process {status} during the import{why}"
            ) from None
        except BaseException:
            self.close()
            raise
        if isinstance(answer, Unusable):
            self.close()
            raise (UnknownHandlerError if answer.is_unknown else UnusableHandlerError)(answer.message)
        self.ready = answer

    def fork(self) -> ReplayProcess:
        """Start a process that replays.

        Raises:
            ClosedChannelError: The process that imported the handler is gone.
        """
        near, far = socket.socketpair()
        key = secrets.token_bytes(KEY_BYTES)
        output: IO[bytes] = tempfile.TemporaryFile(mode="a+b")  # noqa: SIM115  # closed with the fork
        try:
            with far:
                self._channel.send(Fork(key, self.expects_differences), descriptors=(far.fileno(), output.fileno()))
            answer = self._channel.receive(seconds=ANSWER_SECONDS)
            if not isinstance(answer, Forked):
                raise ClosedChannelError("the process that imported the handler does not fork")
        except BaseException:
            near.close()
            output.close()
            raise
        return ReplayProcess(self, Channel(near, key, is_supervisor=True), answer.pid, output)

    def reap(self, pid: int, seconds: float) -> Reaped | None:
        """End a process that replays, after it had time to end by itself. Returns how it ended, if that is known."""
        with suppress(DurableError, TimeoutError):
            self._channel.send(Reap(pid, seconds))
            answer = self._channel.receive(seconds=ANSWER_SECONDS)
            if isinstance(answer, Reaped):
                return answer
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        return None

    def kill(self) -> None:
        """End the process and everything it has started, from any thread; `close` has to follow."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and everything it has started."""
        self._channel.close()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def _last_words(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def describe_exit(code: int | None) -> str:
    """Say how a process ended, after "the process": `ended with exit code 3`."""
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was killed by {signal_name(-code)}"


def signal_name(number: int) -> str:
    """Return the name of a signal: `SIGSEGV`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def start_process(
    module: str, *, flags: Sequence[str] = (), **options: Any
) -> tuple["subprocess.Popen[bytes]", Channel]:
    """Start this interpreter with the `main` of a module of this package, and connect to it.

    Args:
        module: The module.
        flags: Further flags of the interpreter.
        options: Options of `subprocess.Popen`.
    """
    path = [str(Path(entry or ".").absolute()) for entry in sys.path]
    code = f"import sys; sys.path[:] = {path!r}; from {module} import main; main()"
    optimized = ["-O"] * sys.flags.optimize
    near, far = socket.socketpair()
    key = secrets.token_bytes(KEY_BYTES)
    with far:
        command = [sys.executable, *optimized, *flags, "-c", code, str(far.fileno())]
        process: Any = subprocess.Popen(command, pass_fds=(far.fileno(),), **options)
    with suppress(ConnectionError):  # it has ended already, which the next message shows
        near.sendall(key)
    return process, Channel(near, key, is_supervisor=True)
