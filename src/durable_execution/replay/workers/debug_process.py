"""The process in which a recording is replayed under pdb or debugpy, so that VS Code and PyCharm can step through it.

The verdict comes from elsewhere: a replay of its own, in full isolation. This process only shows how the code got there.

Isolation here has one exception, for the debugger. Its threads and its connection are started before the handler runs, so
that they stay outside of what the thread of the handler puts on: Landlock restricts that thread and everything it starts,
and nothing else. For the audit hook, the debugger's own code counts as the SDK's: on the debugger's threads it may act,
unless user code is on the stack; on the handler's threads every effect is refused, also one that is evaluated at a stop.
"""

import contextvars
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Protocol, TypeVar

from durable_execution.call_site import caller
from durable_execution.divergence import Severity, explain
from durable_execution.errors import DurableError, NondeterminismError
from durable_execution.observers import Diverged, InvocationEnded, Observer
from durable_execution.replay.isolation import landlock
from durable_execution.replay.isolation.audit_hook import Isolation, exempt, judge_background, judge_everywhere
from durable_execution.replay.isolation.sandbox import LANDLOCK, Sandbox
from durable_execution.replay.loading import load_handler
from durable_execution.replay.recorded_state import RecordedState
from durable_execution.replay.replay_thread import frames_by_thread
from durable_execution.replay.run import ReplayRun, UnknownHandlerError, UnusableHandlerError, handler_parts, run_once
from durable_execution.replay.suspects import SDK_DIRECTORY, THREAD_ENTRIES, SuspectList, claim, disown, is_user_frame
from durable_execution.replay.workers.channel import Channel
from durable_execution.replay.workers.messages import HOST, PDB, DebugEnded, DebugJob, DebugReady, Unusable
from durable_execution.replay.workers.worker import connection_key, end_with_parent, replay_something
from durable_execution.runtime.call import user_frame

T = TypeVar("T")


class Front(Protocol):
    """A debugger, as the replay sees it."""

    def start(self) -> int:
        """Start it. Returns the port that it listens on; 0 for none."""
        ...

    def wait(self) -> None:
        """Wait until a user is connected."""
        ...

    def trace(self) -> None:
        """Trace this thread from now on."""
        ...

    def untrace(self) -> None:
        """Trace this thread no longer."""
        ...

    def stop(self, error: BaseException) -> None:
        """Stop as if at an exception that was raised at the end of its traceback."""
        ...


class DebugpyFront:
    """debugpy, with an IDE at the other end of its connection."""

    def __init__(self, port: int) -> None:
        import debugpy  # noqa: T100  # this is what the command is for

        self._debugpy: Any = debugpy
        self._port = port
        disown(str(Path(debugpy.__file__).parent) + os.sep)

    def start(self) -> int:
        """Listen for an IDE on this machine."""
        names = {
            "LIBRARY_ROOTS": os.pathsep.join(_library_roots()),
            "IDE_PROJECT_ROOTS": os.pathsep.join(_claimed_roots()),
        }
        saved = dict(os.environ)
        os.environ.update({name: value for name, value in names.items() if value})
        try:
            self._debugpy.configure(subProcess=False)
            _, port = self._debugpy.listen((HOST, self._port))
        except RuntimeError as error:
            raise UnusableDebuggerError(f"debugpy cannot listen on port {self._port}: {error}") from error
        finally:
            for name in names:
                os.environ.pop(name, None)
            os.environ.update({name: saved[name] for name in names if name in saved})
        return int(port)

    def wait(self) -> None:
        """Wait until an IDE has attached and sent its breakpoints."""
        self._debugpy.wait_for_client()

    def trace(self) -> None:
        """Trace this thread."""
        with exempt():
            self._debugpy.debug_this_thread()

    def untrace(self) -> None:
        """Trace this thread no longer. debugpy warns of `sys.settrace`."""
        with exempt():
            self._debugpy.trace_this_thread(False)

    def stop(self, error: BaseException) -> None:
        """Stop at the innermost frame of the traceback."""
        self._debugpy.trigger_exception_handler(error, as_uncaught=False)


class PdbFront:
    """pdb on this terminal."""

    def __init__(self, leave: Callable[[], None]) -> None:
        from durable_execution.replay.workers.replay_pdb import ReplayPdb

        self._pdb = ReplayPdb(leave)

    def start(self) -> int:
        """Let Ctrl-C stop the code at its next line, instead of ending it."""
        signal.signal(signal.SIGINT, lambda _number, _frame: self._pdb.set_step())
        return 0

    def wait(self) -> None:
        """Return: whoever started the command sits at its terminal."""

    def trace(self) -> None:
        """Trace this thread."""
        self._pdb.trace()

    def untrace(self) -> None:
        """Trace this thread no longer."""
        sys.settrace(None)

    def stop(self, error: BaseException) -> None:
        """Show the error, and a prompt at the innermost frame of its traceback."""
        self._pdb.stop(error)


class UnusableDebuggerError(DurableError):
    """The debugger cannot be used."""


class Stops(Observer):
    """Stops in the debugger where the replay first differs from the recording, and where the handler fails.

    Args:
        front: The debugger.
        texts: What the verdict says about each difference, by path.
    """

    def __init__(self, front: Front, texts: Mapping[str, str]) -> None:
        self._front, self._texts = front, texts
        self._left: FrameType | None = None
        self._is_restricted = self._has_stopped = False
        self.diverged: str | None = None

    def run(self, function: Callable[[], T]) -> T:
        """Run orchestration code in this thread, restricted and traced."""
        if not self._is_restricted:
            self._is_restricted = True
            _restrict()
        sys.setprofile(self._on_return)
        self._front.trace()
        try:
            return function()
        finally:
            self._front.untrace()
            sys.setprofile(None)

    def on_diverged(self, notification: Diverged) -> None:
        """Stop at the first difference that ends the execution."""
        divergence = notification.divergence
        if self._has_stopped or divergence.severity is not Severity.ERROR:
            return
        self._has_stopped, self.diverged = True, divergence.path
        text = self._texts.get(divergence.path) or explain(divergence)
        error = NondeterminismError(text, divergence=divergence)
        self._stop(error, self._frames())

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """Stop where the handler raised."""
        error = notification.exception
        if error is None or self._has_stopped or isinstance(error, NondeterminismError):
            return
        self._has_stopped = True
        found: list[FrameType] = []
        lines: dict[FrameType, int] = {}
        link = error.__traceback__
        while link is not None:
            if is_user_frame(link.tb_frame):
                found.append(link.tb_frame)
                lines[link.tb_frame] = link.tb_lineno
            link = link.tb_next
        self._stop(error, found, lines)

    def _stop(
        self, error: BaseException, frames: list[FrameType], lines: Mapping[FrameType, int] | None = None
    ) -> None:
        link: TracebackType | None = None
        for frame in reversed(frames):
            line = (lines or {}).get(frame) or frame.f_lineno or frame.f_code.co_firstlineno
            link = types.TracebackType(link, frame, frame.f_lasti, line)
        if link is not None:
            self._front.stop(error.with_traceback(link))

    def _frames(self) -> list[FrameType]:
        """The user's frames that made the call, outermost first."""
        found = list(_user_frames(sys._getframe()))  # noqa: SLF001  # the call is on this stack
        at = caller.get(None)
        if not found and at is not None:  # a blocking handler, which waits on a thread of its own
            found = list(_user_frames(user_frame(frames_by_thread().get(at[2]))))
        if not found and self._left is not None:  # the code has returned without making a recorded call
            found = list(_user_frames(self._left)) or [self._left]
        return found[::-1]

    def _on_return(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "return" and is_user_frame(frame):
            self._left = frame


def main() -> None:
    """Replay one recording under a debugger."""
    from durable_execution.replay.workers.channel import hidden

    connection = hidden(int(sys.argv[1]))
    channel = Channel(connection, connection_key(connection), is_supervisor=False)
    job: DebugJob = channel.receive()
    sys.argv[:] = [""]
    end_with_parent()
    stops: Stops | None = None

    def leave() -> NoReturn:
        ended = DebugEnded(None, 0, stops.diverged if stops is not None else None, ())
        contextvars.Context().run(channel.send, ended)  # in the replay's context, sending is refused
        _exit()

    front: Front = PdbFront(leave) if job.debugger == PDB else DebugpyFront(job.port)
    sandbox = Sandbox(allows_network_at_import=job.start.allows_network_at_import, has_landlock=False)
    replay_something()
    sandbox.before_import()
    try:
        handler = load_handler(job.start.reference)
    except UnusableHandlerError as error:
        channel.send(Unusable(str(error), is_unknown=isinstance(error, UnknownHandlerError)))
        _exit()
    claim(handler_parts(handler)[0])
    sandbox.after_import()
    sandbox.enter([connection.fileno()])
    before = set(frames_by_thread())
    lenient = Isolation(SuspectList(lambda: (0, None)))
    judge_everywhere(lenient)
    try:
        port = front.start()
        layers = (*sandbox.layers, *((LANDLOCK,) if landlock.version() else ()))
        channel.send(DebugReady(layers, port))
        front.wait()
    except UnusableDebuggerError as error:
        channel.send(Unusable(str(error), is_unknown=False))
        _exit()
    judge_background(set(frames_by_thread()) - before, lenient)
    stops = Stops(front, job.texts)
    state = RecordedState.of(job.execution, opened=None)
    run = run_once(handler, state, seconds=threading.TIMEOUT_MAX, watch=False, recorder=stops, observers=(stops,))
    channel.send(_ended(run, stops))
    _exit()


THREAD_ENTRIES.add(id(main.__code__))  # the code that calls it is the command line's


def _ended(run: ReplayRun, stops: Stops) -> DebugEnded:
    effects = tuple(str(one) for one in run.suspects if one.is_blocked)
    return DebugEnded((run.answer or {}).get("Status"), len(run.collector.calls), stops.diverged, effects)


def _exit() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0)  # without the functions that user code registered for the end


def _restrict() -> None:
    """Restrict this thread, and what it starts, through the kernel."""
    with exempt():
        landlock.refuse_network()
        landlock.refuse_file_changes()


def _user_frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        if is_user_frame(frame):
            yield frame
        frame = frame.f_back


def _library_roots() -> Iterable[str]:
    """Where code is that an IDE steps over: libraries, and this SDK wherever it is installed."""
    from durable_execution.replay.suspects import LIBRARY_DIRECTORIES, STANDARD_DIRECTORIES

    return dict.fromkeys((*STANDARD_DIRECTORIES, *LIBRARY_DIRECTORIES, SDK_DIRECTORY))


def _claimed_roots() -> Iterable[str]:
    """Where the user's own code is although it is installed. The root stands for everything else."""
    from durable_execution.replay.suspects import claimed_places

    found = claimed_places()
    return (os.sep, *found) if found else ()
