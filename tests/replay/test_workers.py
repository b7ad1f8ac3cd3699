"""What becomes of a process that replays is a verdict about its recording; the other recordings are replayed all the same."""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import Handlers, Replayer, Source, WorkerOptions, check_in_workers
from durable_execution.replay.report import ExitCode, ReplayReport, Verdict, worst
from durable_execution.replay.run import UnusableHandlerError
from durable_execution.replay.workers.pool import ReplayPool
from durable_execution.replay.workers.supervisor import HandlerProcess, ReplayProcess, Task
from tests.replay import corpus_dispatch, misbehaving
from tests.replay.recording import history_of

FILE = f"{Path(__file__).parent}/misbehaving.py"


@pytest.fixture(scope="module")
def recording() -> RecordedExecution:
    events, arn = history_of(misbehaving.flow, {"do": "nothing"})
    return read_history(events, arn=arn)


@pytest.fixture(scope="module")
def pool() -> Iterator[ReplayPool]:
    with ReplayPool(WorkerOptions(seconds=20, jobs=1)) as made:
        yield made


def doing(recording: RecordedExecution, what: str) -> RecordedExecution:
    return replace(recording, input=json.dumps({"do": what}))


def differing(recording: RecordedExecution) -> RecordedExecution:
    """The recording, of code whose first call had another name."""
    first, *others = recording.operations
    return replace(recording, operations=(replace(first, name="renamed since"), *others))


def replayed(
    recordings: Sequence[RecordedExecution], name: str, pool: ReplayPool | None = None, **options: Any
) -> list[ReplayReport]:
    tasks = [Task(0, f"recording {number}", one, f"{FILE}:{name}") for number, one in enumerate(recordings)]
    if pool is not None:
        return list(pool.replay(tasks))
    with ReplayPool(WorkerOptions(**options)) as made:
        return list(made.replay(tasks))


@pytest.mark.parametrize("name", ["flow", "blocking_flow"])
@pytest.mark.parametrize(
    ("what", "verdict", "said"),
    [
        ("nothing", Verdict.SAME, ""),
        ("exit", Verdict.EXITED, "called sys.exit(0) at "),
        ("end", Verdict.EXITED, "ended its process with exit code 0"),
        ("end with 3", Verdict.EXITED, "ended its process with exit code 3"),
        ("abort", Verdict.KILLED, "killed by SIGABRT at "),
        ("read null", Verdict.KILLED, "killed by SIGSEGV at "),
        ("recurse", Verdict.RECURSION, "maximum recursion depth exceeded"),
        ("allocate", Verdict.MEMORY, "MemoryError"),
        ("forge", Verdict.FORGED, "the handler wrote to its connection"),
        ("close", Verdict.FORGED, "the handler closed the connection"),
        ("print", Verdict.SAME, ""),
        ("print much", Verdict.SAME, ""),
        ("change directory", Verdict.SAME, ""),
    ],
)
def test_what_becomes_of_the_process_is_the_verdict(
    recording: RecordedExecution,
    pool: ReplayPool,
    name: str,
    what: str,
    verdict: Verdict,
    said: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (report,) = replayed([doing(recording, what)], name, pool)
    assert report.verdict is verdict, report.error
    assert said in (report.error or "")
    assert (report.exit_code is ExitCode.SAME) is (verdict is Verdict.SAME)
    assert report.execution is not None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["flow", "blocking_flow"])
@pytest.mark.parametrize(
    ("what", "verdict"), [("loop", Verdict.STUCK), ("wait for itself", Verdict.STUCK), ("loop in C", Verdict.HUNG)]
)
def test_a_loop_ends_with_its_line(recording: RecordedExecution, name: str, what: str, verdict: Verdict) -> None:
    grace = 5.0 if verdict is Verdict.STUCK else 0.5
    (report,) = replayed([doing(recording, what)], name, seconds=0.3, grace=grace, jobs=1)
    assert report.verdict is verdict, report.error
    assert "misbehaving.py:" in (report.error or "")
    assert "within 0.3 s" in (report.error or "")
    assert not any("environment variables" in note for note in report.notes)  # a replay hides credentials itself


def test_other_recordings_are_replayed_all_the_same(recording: RecordedExecution) -> None:
    wanted = ["nothing", "exit", "nothing", "end", "nothing", "read null", "nothing"]
    reports = replayed([doing(recording, what) for what in wanted], "flow", jobs=2)
    assert [report.source for report in reports] == [f"recording {number}" for number in range(len(wanted))]
    verdicts = {"nothing": Verdict.SAME, "exit": Verdict.EXITED, "end": Verdict.EXITED, "read null": Verdict.KILLED}
    assert [report.verdict for report in reports] == [verdicts[what] for what in wanted]
    assert worst(reports) is ExitCode.HANDLER_FAILED


def test_what_a_used_process_says_is_checked_in_a_new_one(recording: RecordedExecution) -> None:
    first, second, third = replayed([recording] * 3, "counts", jobs=1)
    assert [one.verdict for one in (first, second, third)] == [Verdict.UNSTABLE] * 3
    assert "`same` in a new process and `diverged` in one that has replayed before" in (second.error or "")
    assert second.exit_code is ExitCode.DIVERGED
    assert [one.path for one in second.roots] == [f"{second.handler.rpartition(':')[2]}/extra"]


def test_no_more_processes_are_kept_than_work_at_once(recording: RecordedExecution) -> None:
    other = differing(recording)
    with ReplayPool(WorkerOptions(seconds=20, jobs=2)) as pool:
        forked: list[ReplayProcess] = []
        for report in pool.replay(Task(0, str(number), other, f"{FILE}:flow") for number in range(8)):
            assert report.verdict is Verdict.DIVERGED, report.error
            forked += [process for process in pool._idle if process not in forked]
        assert len(pool._idle) <= 2
        assert max(process.replays for process in forked) > 2, "a process that differed is used again"


@pytest.mark.new_interpreter
def test_forks_load_nothing_for_a_difference(recording: RecordedExecution, tmp_path: Path) -> None:
    (tmp_path / "recording").write_bytes(pickle.dumps(differing(recording)))
    script = f"""
import pickle, sys
from pathlib import Path
from durable_execution.replay.workers import worker
from durable_execution.replay.loading import load_handler
from durable_execution.replay.replayer import Replayer
worker.replay_something()
handler = load_handler({f"{FILE}:flow"!r})
worker.prepare_for_differences(handler)
prepared = set(sys.modules)
found = Replayer(handler, cause=False).replay(pickle.loads(Path(sys.argv[1]).read_bytes()))
print(found.verdict.value, sorted(set(sys.modules) - prepared))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "recording")], capture_output=True, text=True, check=False
    )
    assert done.stdout == "diverged []\n", done.stderr


def test_the_importing_process_prepares_for_differences_once_there_is_one(recording: RecordedExecution) -> None:
    with ReplayPool(WorkerOptions(seconds=20, jobs=1)) as pool:
        found = []
        for number, one in enumerate([recording, differing(recording), recording]):
            list(pool.replay([Task(0, str(number), one, f"{FILE}:flow")]))
            home = pool._home(f"{FILE}:flow")
            found.append(home.expects_differences)
        assert found == [False, True, True]


def test_a_fresh_process_for_each_recording(recording: RecordedExecution) -> None:
    reports = replayed([recording] * 3, "counts", is_fresh=True)
    assert [report.verdict for report in reports] == [Verdict.SAME] * 3


@pytest.mark.parametrize("name", ["by_directory", "by_environment"])
def test_no_recording_sees_what_another_changed(
    recording: RecordedExecution, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.txt").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    reports = replayed([recording] * 3, name, jobs=1)
    assert [report.verdict for report in reports] == [Verdict.SAME] * 3, reports[1].error
    assert all("other recordings do not see that" in report.notes[-1] for report in reports)
    assert Path.cwd() == tmp_path
    assert "MISBEHAVING" not in os.environ


def test_output_is_a_note_of_its_recording(recording: RecordedExecution, pool: ReplayPool) -> None:
    (report,) = replayed([doing(recording, "print")], "flow", pool)
    assert report.notes == ("the code printed 1 line: on stdout",)


@pytest.mark.new_interpreter
def test_a_report_is_whole(recording: RecordedExecution) -> None:
    """What a worker reports is what `Replayer` reports in this process."""
    misbehaving.CALLS.append(1)
    events, arn = history_of(misbehaving.counts, {"do": "nothing"})
    longer = read_history(events, arn=arn)
    with ReplayPool() as pool:
        (report,) = pool.replay([Task(0, "one", longer, "tests.replay.misbehaving:flow")])
    here = Replayer(misbehaving.flow).replay(longer, source="one")
    assert report.verdict is Verdict.DIVERGED
    assert replace(report, isolation=here.isolation, rows=here.rows) == here
    assert repr(report.rows) == repr(here.rows)
    assert report.rows
    assert set(here.isolation) < set(report.isolation)


IMPORTS = {
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "ends": ("import os\nos._exit(4)", "the process ended with exit code 4 during the import"),
    "aborts": ("import os\nos.abort()", "the process was killed by SIGABRT during the import"),
    "raises": ("raise RuntimeError('no')", "RuntimeError: no"),
    "connects": (
        "import socket\nsocket.create_connection(('127.0.0.1', 9))",
        "is refused while the handler's module is imported",
    ),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_a_module_that_cannot_be_imported(recording: RecordedExecution, name: str, tmp_path: Path) -> None:
    source, said = IMPORTS[name]
    path = tmp_path / f"broken_{name}.py"
    path.write_text(source, encoding="utf-8")
    with ReplayPool(WorkerOptions(jobs=1)) as pool:
        reports = list(pool.replay([Task(0, str(number), recording, f"{path}:flow") for number in range(2)]))
    assert [report.verdict for report in reports] == [Verdict.FAILED] * 2
    assert said in (reports[0].error or "")
    assert reports[0].error == reports[1].error


def test_the_network_at_import_can_be_allowed(recording: RecordedExecution, tmp_path: Path) -> None:
    path = tmp_path / "asks.py"
    path.write_text(
        "import contextlib, socket\n"
        "with contextlib.suppress(ConnectionRefusedError):\n    socket.create_connection(('127.0.0.1', 9))\n"
        "from tests.replay.misbehaving import flow\n",
        encoding="utf-8",
    )
    with ReplayPool(WorkerOptions(jobs=1, allows_network_at_import=True)) as pool:
        (report,) = pool.replay([Task(0, "one", recording, f"{path}:flow")])
    assert report.is_same
    assert "socket.getaddrinfo" in report.at_import[0]


def test_recordings_that_cannot_be_read_have_their_place(recording: RecordedExecution) -> None:
    from durable_execution.history.reading import UnreadableHistoryError

    def broken() -> RecordedExecution:
        raise UnreadableHistoryError("no")

    sources = [Source("one", lambda: recording), Source("two", broken), Source("three", lambda: recording)]
    seen: list[str] = []
    handlers = Handlers.parse([f"{FILE}:flow"])
    reports = list(check_in_workers(sources, handlers, on_report=lambda report: seen.append(report.source)))
    assert [report.verdict for report in reports] == [Verdict.SAME, Verdict.UNREADABLE, Verdict.SAME]
    assert seen == ["one", "two", "three"]


@pytest.mark.new_interpreter
def test_nothing_is_left_behind(recording: RecordedExecution) -> None:
    with ReplayPool(WorkerOptions(jobs=2)) as pool:
        reports = pool.replay(Task(0, str(number), recording, f"{FILE}:flow") for number in range(100))
        assert next(reports).is_same
        pids = [process.pid for process in (*pool._idle, *pool._busy)]
        homes = [home._process.pid for home in pool._homes.values()]  # type: ignore[union-attr]
    for pid in homes:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert all_gone(pids)


def all_gone(pids: Sequence[int]) -> bool:
    """Whether processes that were killed are gone, soon."""
    for _ in range(200):
        if all(_is_gone(pid) for pid in pids):
            return True
        signal.sigtimedwait([], 0.05)
    return False


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"  # the system reaps it


def test_workers_end_with_their_supervisor(recording: RecordedExecution, tmp_path: Path) -> None:
    """Also when it is killed."""
    source = f"""
import pickle, sys
from pathlib import Path
from durable_execution.replay.workers.pool import ReplayPool
from durable_execution.replay.workers.supervisor import Task, WorkerOptions
recording = pickle.loads(Path(sys.argv[1]).read_bytes())
pool = ReplayPool(WorkerOptions(jobs=1))
for report in pool.replay(Task(0, "x", recording, "{FILE}:flow") for _ in range(10)):
    print(next(iter(pool._homes.values()))._process.pid, *[one.pid for one in (*pool._idle, *pool._busy)], flush=True)
    sys.stdin.read()
"""
    import pickle

    path = tmp_path / "recording"
    path.write_bytes(pickle.dumps(recording))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    supervisor = subprocess.Popen(
        [sys.executable, "-c", source, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    with supervisor:
        assert supervisor.stdout
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        supervisor.send_signal(signal.SIGKILL)
    assert len(pids) == 2
    assert all_gone(pids)


@pytest.mark.acceptance
@pytest.mark.timeout(180)
def test_workers_report_what_this_process_reports_for_the_whole_corpus() -> None:
    """No effect is seen where there is none, and no difference is lost on the way."""
    recordings = [
        read_history(
            json.loads(path.read_text(encoding="utf-8"))["history"], arn=corpus_dispatch.ARN.format(number=number)
        )
        for number, path in enumerate(corpus_dispatch.CASES)
    ]
    names = [path.stem for path in corpus_dispatch.CASES]
    tasks = [
        Task(0, name, one, "tests.replay.corpus_dispatch:flow") for name, one in zip(names, recordings, strict=True)
    ]
    with ReplayPool(WorkerOptions(finds_cause=False)) as pool:
        reports = list(pool.replay(tasks))
    replayer = Replayer(corpus_dispatch.flow, cause=False)
    here = [replayer.replay(one, source=name) for name, one in zip(names, recordings, strict=True)]
    assert [found(one) for one in reports] == [found(one) for one in here]


def found(report: ReplayReport) -> Any:
    """What a report found; `test_causes.py` is about the causes."""
    roots = [(one.kind, one.path, one.severity, one.recorded, one.replayed, one.follow_on) for one in report.roots]
    return report.source, report.verdict, roots, report.effects


EXPORTER = """
import os, socket, threading
from contextlib import suppress
from tests.replay.misbehaving import blocking_flow, flow

def export():
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", 9)).close()
        threading.Event().wait(0.001)

def start():
    threading.Thread(target=export, daemon=True, name="exporter").start()

os.register_at_fork(after_in_child=start)
"""


def test_what_runs_beside_replays_is_refused_and_not_blamed_on_them(
    recording: RecordedExecution, tmp_path: Path
) -> None:
    """As exporters of telemetry do, which start a thread in every fork."""
    path = tmp_path / "exporting.py"
    path.write_text(EXPORTER, encoding="utf-8")
    with ReplayPool(WorkerOptions(jobs=1)) as pool:
        reports = list(pool.replay([Task(0, str(number), recording, f"{path}:flow") for number in range(20)]))
    assert {report.verdict for report in reports} == {Verdict.SAME}
    assert {report.effects for report in reports} == {()}
    notes = [note for report in reports for note in report.notes]
    assert any("a thread that ran before the replay was refused" in note for note in notes)


@pytest.mark.new_interpreter
def test_a_process_that_ends_before_it_is_spoken_to_is_an_unusable_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(command: list[str], **options: Any) -> Any:
        process = started([sys.executable, "-c", "raise SystemExit('no memory')"], **options)
        process.wait()
        return process

    started = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", ended)
    with pytest.raises(UnusableHandlerError, match="the process ended with exit code 1 during the import: no memory"):
        HandlerProcess(f"{FILE}:flow", WorkerOptions())
