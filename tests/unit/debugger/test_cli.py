"""The command line: what goes to stdout and stderr, and exit codes, which are an interface."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest

from durable_debugger import cli
from durable_debugger.cli import main
from durable_debugger.cli.entry import VERBS
from durable_debugger.cli.output import Output
from durable_debugger.cli.verify import Progress
from durable_execution.replay.workers import pool
from tests.tui.recordings import order_recording

WORKFLOWS = Path(__file__).with_name("workflows.py")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, without a way to AWS."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    return tmp_path


@pytest.fixture
def order_file(here: Path) -> str:
    path = here / "order.history.json"
    path.write_text(json.dumps(order_recording().events))
    return str(path)


@pytest.fixture
def changed_file(here: Path) -> str:
    path = here / "changed.json"
    path.write_text(json.dumps(order_recording(with_courier=False).events))
    return str(path)


def run(handler: str, *more: str) -> int:
    return main(["run", f"{WORKFLOWS}:{handler}", "--time", "skip", *more])


def test_a_workflow_runs_and_prints_its_id_and_nothing_else_to_stdout(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("greet", "--input", '{"name": "Ada"}') == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"[0-9a-f-]{36}\n", out)
    for said in (
        "look_up",
        "sleep_on_it",
        "waiting for 1h 00m",
        "✓ SUCCEEDED",
        '"hello Ada"',
        f"durable-debug {out.strip()}",
    ):
        assert said in err


def test_a_failed_workflow_exits_with_4_and_json_tells_why(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fail", "--json") == 4
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "FAILED"
    assert told["error"]["ErrorMessage"] == "not today"


def test_the_input_may_come_from_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "input.json").write_text('{"name": "file"}')
    assert run("greet", "--input", "@input.json") == 0
    assert '"hello file"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["greet", "--input", "{nope"], "--input is not JSON", 2),
        (["greet", "--input", "Ada"], """quote a string twice: --input '"Ada"'""", 2),
        (["greet", "--input", "@missing.json"], "cannot read", 2),
        (["gret"], "did you mean greet", 2),
        (["not_durable"], "decorate it with @durable_execution", 2),
    ],
)
def test_bad_input_gets_a_clear_answer(
    here: Path, capsys: pytest.CaptureFixture[str], words: Any, said: str, code: int
) -> None:
    assert run(*words) == code
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""
    assert "Traceback" not in err


def test_executions_are_listed_and_shown_by_the_beginning_of_their_id(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("greet")
    execution = capsys.readouterr().out.strip()
    assert main(["list"]) == 0
    assert execution in capsys.readouterr().out
    assert main(["list", "--json", "--status", "succeeded"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)["executions"]] == [execution]
    assert main(["list", "--status", "failed"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["show", execution[:6]]) == 0
    shown = capsys.readouterr().out
    assert "✓ look_up" in shown
    assert "1h 00m" in shown


def test_an_execution_shows_call_sites_when_it_was_traced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("greet")
    main(["show", capsys.readouterr().out.strip(), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [operation["call_site"]["file"] for operation in told["operations"]] == [str(WORKFLOWS)] * 3
    assert told["operations"][0]["replayed_by"] == [2]


@pytest.mark.parametrize("form", [[], ["--timeline"], ["--events"], ["--trace"]], ids=" ".join)
def test_a_history_is_shown_in_every_form(order_file: str, capsys: pytest.CaptureFixture[str], form: Any) -> None:
    assert main(["show", order_file, *form]) == 0
    out, err = capsys.readouterr()
    assert "charge_card" in out
    assert err == ""
    if not form:
        assert max(map(len, out.splitlines())) <= 100


def test_ascii_is_only_ascii(order_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ([], ["--timeline"], ["--events"]):
        main(["show", order_file, "--ascii", *form])
        assert capsys.readouterr().out.isascii()


def test_a_history_may_come_from_stdin(
    order_file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(order_file).open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert main(["show", "-"]) == 0
    assert "charge_card" in capsys.readouterr().out


def test_an_unknown_execution_says_where_it_was_looked_for_and_what_is_close(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("greet", "--name", "greeting-1")
    capsys.readouterr()
    assert main(["show", "greeting-2"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no execution found for 'greeting-2'" in err
    assert "local store .durable/executions.db" in err
    assert "1 execution, none match" in err
    assert "AWS Lambda" in err
    assert "closest    greeting-1" in err


def test_an_ambiguous_beginning_lists_what_it_could_mean(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("greet", "--name", "twin-1")
    run("greet", "--name", "twin-2")
    capsys.readouterr()
    assert main(["show", "twin"]) == 2
    assert "2 executions match 'twin'" in capsys.readouterr().err


def test_a_store_that_is_none_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.db").write_text("not a store")
    assert main(["list", "--store", "broken.db"]) == 3
    assert "broken.db" in capsys.readouterr().err


def test_files_that_hold_nothing_exit_with_3(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.json").write_text("{}")
    assert main(["show", "empty.json"]) == 3
    assert main(["show", "missing.json"]) == 3
    assert "no file missing.json" in capsys.readouterr().err


def test_an_arn_without_credentials_exits_with_3(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:f:1/durable-execution/a/b"
    assert main(["show", arn]) == 3
    assert "no credentials" in capsys.readouterr().err


def test_without_a_terminal_the_debugger_says_what_to_use(order_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([order_file]) == 2
    assert "durable-debug show" in capsys.readouterr().err
    assert main([]) == 2


def test_two_executions_are_compared(order_file: str, changed_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", order_file, changed_file]) == 1
    out = capsys.readouterr().out
    assert "your code skips this" in out
    assert "SKIPPED CALL   first difference; 3 more follow from it" in out
    assert main(["diff", order_file, changed_file, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["divergences"][0]["kind"] == "skipped"
    assert main(["diff", order_file, order_file]) == 0


def test_a_recording_is_replayed_against_code(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("greet")
    execution = capsys.readouterr().out.strip()
    assert main(["replay", execution, f"{WORKFLOWS}:greet"]) == 0
    assert "no differences" in capsys.readouterr().out
    assert main(["replay", execution, f"{WORKFLOWS}:greet_changed"]) == 1
    out = capsys.readouterr().out
    assert "sleep_on_it" in out
    assert "Effect" in out
    assert main(["replay", execution, f"{WORKFLOWS}:greet_changed", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["divergences"][0]["kind"] == "skipped"


@pytest.mark.parametrize("form", ["text", "json", "junit", "sarif", "github"])
def test_many_recordings_are_checked_in_the_formats_of_ci(
    here: Path, capsys: pytest.CaptureFixture[str], form: Any
) -> None:
    run("greet")
    execution = capsys.readouterr().out.strip()
    assert main(["check", execution, f"{WORKFLOWS}:greet_changed", "--format", form]) == 1
    assert "sleep_on_it" in capsys.readouterr().out
    assert main(["check", execution, f"{WORKFLOWS}:greet", "--format", form, "-o", "report"]) == 0
    assert Path("report").read_text()


def test_checking_a_directory_reports_what_cannot_be_read(
    here: Path, order_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.json").write_text("{")
    assert main(["check", str(here), f"{WORKFLOWS}:greet"]) == 3
    assert "broken.json" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["check", "x.json"], ["check", "shop:handler"], ["check", "empty/", "shop:handler"]])
def test_checking_needs_recordings_and_a_handler(here: Path, capsys: pytest.CaptureFixture[str], words: Any) -> None:
    Path("empty").mkdir()
    assert main(words) in (2, 3)
    assert "durable-debug: " in capsys.readouterr().err


def test_the_gate_is_open_while_nothing_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("greet")
    assert main(["gate", "greet", f"{WORKFLOWS}:greet_changed", "--store", ".durable/executions.db"]) == 0
    assert "a deployment cannot break any" in capsys.readouterr().err


@pytest.fixture
def waiting(here: Path) -> tuple[str, str]:
    """An execution that waits for a callback, as another process left it: its id and the callback's."""
    from durable_execution.local import LocalEngine
    from tests.unit.debugger.workflows import approve

    with LocalEngine(".durable/executions.db", time="skip") as engine:
        engine.register("approve", approve)
        arn = engine.start("approve", {})
        callback = engine.wait_for_callback_id(arn)
    return arn.rpartition("/")[2], callback


def test_a_callback_is_completed_from_outside(waiting: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    execution, callback = waiting
    assert main(["callback", "heartbeat", callback]) == 0
    assert main(["callback", "succeed", callback, "--result", '{"approved": true}']) == 0
    assert main(["callback", "succeed", callback]) == 2
    main(["show", execution, "--json"])
    operations = json.loads(capsys.readouterr().out)["operations"]
    assert [each["status"] for each in operations] == ["SUCCEEDED", "SUCCEEDED"]


def test_a_callback_can_fail_and_nonsense_is_refused(
    waiting: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, callback = waiting
    assert main(["callback", "succeed", callback, "--result", "{nope"]) == 2
    assert main(["callback", "succeed", "bm9wZQ=="]) == 2
    assert "if it is on AWS, add" in capsys.readouterr().err
    assert main(["callback", "fail", callback, "--message", "no"]) == 0


def test_a_running_execution_is_gated_and_stopped(waiting: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    execution, _ = waiting
    store = ["--store", ".durable/executions.db"]
    assert main(["gate", "approve", f"{WORKFLOWS}:approve", *store]) == 0
    assert "is safe to deploy" in capsys.readouterr().err
    assert main(["gate", "approve", f"{WORKFLOWS}:greet", *store]) == 1
    assert "is not safe to deploy" in capsys.readouterr().err
    assert main(["stop", execution[:8], "--message", "enough"]) == 0
    assert main(["stop", "nothing-like-it"]) == 2
    assert main(["stop", "some.json"]) == 2
    capsys.readouterr()
    main(["list", "--json"])
    assert json.loads(capsys.readouterr().out)["executions"][0]["status"] == "STOPPED"
    assert main(["stop", execution[:8]]) == 0
    said = capsys.readouterr()
    assert "it is STOPPED" in said.err
    assert not any(line.startswith("stopped") for line in (said.out + said.err).splitlines())


@pytest.mark.parametrize("form", ["otlp", "json", "html", "perfetto", "bundle"])
def test_executions_are_exported(order_file: str, capsys: pytest.CaptureFixture[str], form: Any) -> None:
    assert main(["export", order_file, "--to", form, "-o", f"out.{form}"]) == 0
    text = Path(f"out.{form}").read_text()
    assert "charge_card" in text
    assert capsys.readouterr().out == ""
    if form == "html":
        assert "<script src" not in text
    else:
        json.loads(text)
    assert main(["export", order_file, "--to", form]) == 0
    assert capsys.readouterr().out == text


def test_an_exported_bundle_opens_again(order_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["export", order_file, "--to", "bundle", "-o", "order.bundle"])
    main(["show", order_file, "--json"])
    before = json.loads(capsys.readouterr().out)
    main(["show", "order.bundle", "--json"])
    assert json.loads(capsys.readouterr().out) == before


def test_a_perfetto_trace_nests_calls_in_their_tracks(order_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["export", order_file, "--to", "perfetto"])
    events = [event for event in json.loads(capsys.readouterr().out)["traceEvents"] if event["ph"] == "X"]
    for track in {event["tid"] for event in events}:
        open_until: list[int] = []
        for event in sorted((e for e in events if e["tid"] == track), key=lambda e: (e["ts"], -e["dur"])):
            while open_until and open_until[-1] <= event["ts"]:
                open_until.pop()
            if open_until:
                assert event["ts"] + event["dur"] <= open_until[-1] + 1, event["name"]
            open_until.append(event["ts"] + event["dur"])


def test_an_unreachable_collector_exits_with_3(order_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", order_file, "--to", "otlp", "--endpoint", "http://127.0.0.1:1"]) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main([verb, "--help"])
    assert raised.value.code == 0
    assert "usage: durable-debug" in capsys.readouterr().out


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupt_exits_with_130(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("durable_debugger.cli.look.find_execution", interrupt)
    assert main(["show", "x"]) == 130


def test_colour_is_for_terminals_and_never_with_no_color(order_file: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "durable_debugger", "show", order_file],
        capture_output=True,
        check=True,
        env=environment,
        timeout=50,
    )
    assert b"\x1b" not in done.stdout


def test_headless_verbs_load_no_screen(order_file: str) -> None:
    script = (
        "import sys; from durable_debugger.cli import main; main(sys.argv[1:]);"
        "print([name for name in ('textual', 'rich', 'boto3') if name in sys.modules], file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for words in (["show", order_file], ["show", order_file, "--timeline"], ["export", order_file, "--to", "html"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            timeout=50,
        )
        assert done.stderr.splitlines()[-1] == "[]"


def test_every_state_a_recording_went_through_is_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("greet")
    execution = capsys.readouterr().out.strip()
    assert main(["check", execution, f"{WORKFLOWS}:greet", "--every-prefix"]) == 0
    assert main(["check", execution, f"{WORKFLOWS}:greet_changed", "--every-prefix"]) == 1


@pytest.mark.real_time
def test_code_is_replayed_in_other_worlds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", f"{WORKFLOWS}:greet", "--time", "skip"]) == 0
    execution = capsys.readouterr().out.strip()
    assert main(["check", execution, f"{WORKFLOWS}:greet", "--perturb"]) == 0
    assert "behaves the same under 10 perturbations" in capsys.readouterr().out
    assert main(["check", execution, f"{WORKFLOWS}:greet", "--perturb", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 0
    assert "behaves the same under 10 perturbations" in document["reports"][0]["notes"][-1]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_time_left_is_measured_from_the_first_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 101.0, 103.0, 700.0, 701.0])
    monkeypatch.setattr("durable_execution.clock.SystemClock.monotonic", lambda _: next(times))
    terminal = Terminal()
    progress = Progress(10, Output(narration=terminal))
    for done in (1, 2, 4, 5, 10):
        progress.show(done)
    shown = [line.removeprefix("\x1b[K") for line in terminal.getvalue().split("\r")[1:]]
    assert shown == [
        "1 of 10 replayed",
        "2 of 10 replayed, about 8 s left",
        "4 of 10 replayed, about 6 s left",
        "5 of 10 replayed, about 12:30 left",
        "10 of 10 replayed",
    ]


def test_an_interrupted_check_leaves_partial_results(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from durable_debugger.cli import verify

    def interrupted(*arguments: Any) -> Iterator[Any]:
        reports = verify_in_workers(*arguments)
        yield next(reports)
        reports.close()
        raise KeyboardInterrupt

    verify_in_workers = pool.check_in_workers
    run("greet")
    execution = capsys.readouterr().out.strip()
    monkeypatch.setattr(verify, "check_in_workers", interrupted)
    assert main(["check", execution, execution, f"{WORKFLOWS}:greet", "--json"]) == 130
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert [report["verdict"] for report in document["reports"]] == ["same", "interrupted"]
    assert (document["is_partial"], document["exit_code"]) == (True, 130)
    assert "interrupted: 1 of 2 recordings was replayed, so the results are partial" in printed.err


def test_an_interruption_while_the_command_is_loaded_is_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting(MetaPathFinder):
        def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
            if fullname == "durable_debugger.cli.entry":
                raise KeyboardInterrupt

    monkeypatch.delattr(cli, "entry")
    monkeypatch.delitem(sys.modules, "durable_debugger.cli.entry")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert main(["--help"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_an_execution_is_explained(order_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", order_file]) == 0
    assert re.match(r"It [a-z]+", capsys.readouterr().out)
    assert main(["explain", order_file, "--json"]) == 0
    wire = json.loads(capsys.readouterr().out)
    assert (wire["schema"], wire["version"]) == ("durable-explanation", 1)


def test_an_execution_that_waits_is_explained_with_the_command_that_helps(
    waiting: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", waiting[0]]) == 0
    out = capsys.readouterr().out
    assert out.startswith("It waits for the callback")
    assert f"durable-debug callback succeed {waiting[1]}" in out


def test_an_execution_is_explained_by_replaying_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("greet", "--input", '{"name": "Ada"}')
    execution = capsys.readouterr().out.strip()
    assert main(["explain", execution, f"{WORKFLOWS}:greet_changed", "--json"]) == 1
    wire = json.loads(capsys.readouterr().out)
    assert wire["state"] == "diverged"
    assert wire["place"]["call_site"]["file"].endswith("workflows.py")
    assert main(["explain", execution, f"{WORKFLOWS}:greet"]) == 0
