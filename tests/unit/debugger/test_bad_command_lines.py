"""What a user can get wrong on the command line: each mistake has an exit code and one sentence, and never a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from tests.tui.recordings import order_recording

WORKFLOWS = Path(__file__).with_name("workflows.py")
HANDLER = f"{WORKFLOWS}:greet"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one recording, and files that hold none; without a way to AWS."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (tmp_path / "order.json").write_text(json.dumps(order_recording().events))
    (tmp_path / "binary.json").write_bytes(b"\x00\xff\xfe\x80")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "no-events.json").write_text('{"Events": []}')
    (tmp_path / "half.json").write_text('{"Events": [')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "number.json").write_text("3")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "object.json").write_text('{"a": 1}')
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder-without-events").mkdir()
    (tmp_path / "folder-without-events" / "order.json").write_text("[]")
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "raises.py").write_text("raise RuntimeError('at import')\n")
    return tmp_path


USAGE: list[tuple[str, str]] = [
    # verbs and options
    ("shwo order.json", "unknown verb 'shwo'; did you mean `durable-debug show`?"),
    ("Show order.json", "unknown verb 'Show'; did you mean `durable-debug show`?"),
    ("lst", "did you mean the verb  durable-debug list"),
    ("cost order.json", "unknown verb 'cost'; did you mean `durable-debug show EXECUTION --cost`? (see"),
    ("logs order.json", "unknown verb 'logs' (see `durable-debug --help`)"),
    ("order.json more", "unexpected argument 'more'"),
    ("show order.json more", "unexpected argument 'more'"),
    ("show order.json {}", "unexpected argument '{}' (see"),
    ("run shop.py:handler {}", "unexpected argument '{}'; pass the payload with --input (see"),
    ("run shop.py:handler @order.json", "unexpected argument '@order.json'; pass the payload with --input (see"),
    ("show order.json --evnts", "unknown option --evnts; did you mean --events?"),
    (
        "open order.json --handler flow:order",
        "unknown option --handler; did you mean `durable-debug replay EXECUTION MODULE:HANDLER`? (see",
    ),
    ("order.json --headless", "unknown option --headless; did you mean `durable-debug replay … --headless`? (see"),
    ("show order.json --zzz", "unknown option --zzz (see `durable-debug show --help`)"),
    ("show", "required: EXECUTION"),
    ("diff order.json", "required: B"),
    ("callback", "required: succeed|fail|heartbeat"),
    ("callback suceed x", "did you mean succeed?"),
    ("callback succeed x --reslt 1", "unknown option --reslt; did you mean --result?"),
    # words and numbers
    ("list --status BOGUS", "'BOGUS' is not one of RUNNING, SUCCEEDED"),
    ("list --status runing", "did you mean RUNNING?"),
    ("list --limit -3", "'-3' is not a whole number from 1 to"),
    ("list --limit many", "'many' is not a whole number"),
    ("list --limit 1e99", "'1e99' is not a whole number"),
    ("open order.json --view tre", "did you mean tree?"),
    ("export order.json --to jsn", "did you mean json?"),
    ("export order.json", "required: --to"),
    (f"check order.json {HANDLER} --format xml", "'xml' is not one of text"),
    (f"check order.json {HANDLER} --jobs 0", "'0' is not a whole number from 1 to"),
    (f"check order.json {HANDLER} --seconds nan", "'nan' is not a number of seconds"),
    (f"replay order.json {HANDLER} --seconds -1", "'-1' is not a number of seconds"),
    (f"explain order.json {HANDLER} --seconds inf", "'inf' is not a number of seconds"),
    (f"gate f {HANDLER} --seconds 1e999", "'1e999' is not a number of seconds"),
    (f"run {HANDLER} --timeout -3", "'-3' is not a number of seconds"),
    (f"run {HANDLER} --input {{nope", "--input is not JSON"),
    (f"run {HANDLER} --input @folder", "cannot read folder"),
    (f"run {HANDLER} --time slow", "'slow' is not one of real, skip"),
    (f"run {HANDLER} --also x", "expected NAME=MODULE:HANDLER"),
    ("serve --port 99999999", "'99999999' is not a whole number from 0 to 65535"),
    ("serve --function x", "expected NAME=module:handler"),
    ("gate f", "no handler given"),
    (f"check {HANDLER}", "no recordings given"),
    ("check order.json", "no handler given"),
    ("list --function f --endpoint-url banana", "'banana' is not an address such as http://127.0.0.1:9014"),
    (f"run {HANDLER} --name a/b", "DurableExecutionName must match"),
    ("export order.json --to json -o nowhere/x", "cannot write nowhere/x: No such file or directory"),
    ("lint", "no path given"),
    ("lint x.py --select DUR999", "'DUR999' is not a rule"),
    ("lint x.py --ignore DUR20l", "did you mean DUR20"),
    # executions
    ("show folder", "folder is a directory"),
    ("show nothing-like-it", "no execution found for 'nothing-like-it'"),
    ("stop order.json", "is a file"),
    # handlers
    ("replay order.json nope", "not a handler reference"),
    ("replay order.json nope:x", "no module named 'nope'"),
    ("replay order.json nope.py:x", "no such file: nope.py"),
    ("replay order.json folder/:x", "folder is a directory"),
    (f"replay order.json {WORKFLOWS}:gret", "did you mean greet?"),
    (f"replay order.json {WORKFLOWS}:not_durable", "decorate it with @durable_execution"),
    (f"check order.json {WORKFLOWS}:gret", "did you mean greet?"),
    (f"explain order.json {WORKFLOWS}:gret", "did you mean greet?"),
    (f"run {WORKFLOWS}:gret", "did you mean greet?"),
]
UNLOADABLE: list[tuple[str, str]] = [
    ("stop nothing-like-it", "there is no store at"),
    ("show nope.json", "no file nope.json"),
    ("show binary.json", "cannot read binary.json"),
    ("show empty.json", "empty.json holds no execution: it is empty, not JSON"),
    ("show no-events.json", "no-events.json holds no execution: its history has no events"),
    ("open no-events.json", "its history has no events"),
    ("export no-events.json --to html", "its history has no events"),
    ("diff order.json no-events.json", "its history has no events"),
    (f"replay no-events.json {HANDLER}", "its history has no events"),
    (f"check no-events.json {HANDLER}", "its history has no events"),
    ("fleet folder-without-events", "its history has no events"),
    ("show half.json", "it is not JSON"),
    ("show deep.json", "nested too deeply"),
    ("show number.json", "not a history"),
    ("show list.json", "not an event"),
    ("show object.json", "not a history"),
    ("show folder.json", "no file folder.json"),
    ("show order.json --replay-trace nope.jsonl", "no file nope.jsonl"),
    ("show order.json --replay-trace order.json", "holds no replay trace"),
    ("diff order.json empty.json", "empty.json holds no execution"),
    ("export half.json --to json", "it is not JSON"),
    ("explain binary.json", "cannot read binary.json"),
    (f"check empty.json {HANDLER}", "empty.json"),
    (f"check folder {HANDLER}", "no .json files in folder"),
    ("list --store folder", "folder"),
    ("list --store nope.db", "no store nope.db"),
    ("list --store binary.json", "binary.json"),
    ("show x --store binary.json", "binary.json"),
    ("lint nope", "nope does not exist"),
    ("lint binary.json", "binary.json is not Python source"),
]
FAILED: list[tuple[str, str]] = [
    ("replay order.json broken.py:x", "cannot import broken.py: No module named 'nothing_of_that_name'"),
    ("replay order.json raises.py:x", "cannot import raises.py: RuntimeError: at import"),
    ("run raises.py:x", "RuntimeError: at import"),
]
CASES = [(2, *case) for case in USAGE] + [(3, *case) for case in UNLOADABLE] + [(4, *case) for case in FAILED]


@pytest.mark.parametrize(
    ("code", "words", "said"), CASES, ids=[case[1].replace(str(WORKFLOWS), "w.py") for case in CASES]
)
def test_a_mistake_has_an_exit_code_and_a_sentence(
    code: int, words: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == code
    out, err = capsys.readouterr()
    assert said in (out if words.startswith(("check e", "check n")) else err)
    assert "Traceback" not in out + err
    assert "usage:" not in err
    assert all(len(line) < 400 for line in err.splitlines())


WITH_JSON = ("check", "diff", "explain", "gate", "lint", "list", "replay", "run", "show")


@pytest.mark.parametrize(
    ("code", "words"),
    [(code, words) for code, words, _ in CASES if words.partition(" ")[0] in WITH_JSON],
    ids=lambda value: str(value).replace(str(WORKFLOWS), "w.py"),
)
def test_a_mistake_is_one_json_document_with_the_exit_code(
    code: int, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), "--json"]) == code
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == code
    assert told.get("error") or told["reports"][0]["error"]


def test_a_replay_that_fails_before_its_first_call_is_not_the_same(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = {
        "EventType": "ExecutionStarted",
        "EventId": 1,
        "Id": "e",
        "ExecutionStartedDetails": {"Input": {"Payload": "{}"}},
    }
    (here / "started.json").write_text(json.dumps([start]))
    assert main(["replay", "started.json", f"{WORKFLOWS}:fail"]) == 4
    printed = capsys.readouterr().out
    assert "Your code failed: ValueError: not today" in printed
    assert "no differences" not in printed


def test_a_history_without_events_has_an_explanation(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "no-events.json"]) == 0
    assert "Its history is not available" in capsys.readouterr().out


def test_a_history_without_its_first_events_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rest.json").write_text(json.dumps(order_recording().events[1:]))
    assert main(["show", "rest.json"]) == 0
    assert "note: Its history is incomplete: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "actions"),
    [
        ("explain", ("GetDurableExecution", "GetDurableExecutionHistory")),
        ("fork", ("GetDurableExecution", "GetDurableExecutionHistory")),
        ("show", ("GetDurableExecution", "GetDurableExecutionHistory")),
        ("fleet", ("ListDurableExecutionsByFunction", "GetDurableExecutionHistory")),
        ("pause", ("PauseDurableExecution",)),
        ("resume", ("ResumeDurableExecution",)),
        ("delete", ("DeleteDurableExecution",)),
        ("gate", ("PauseDurableExecution", "ResumeDurableExecution")),
        ("mcp", ("GetDurableExecution", "ListDurableExecutionsByFunction")),
    ],
)
def test_help_names_the_permissions_and_the_json_option(
    verb: str, actions: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert all(f"lambda:{action}" in said for action in actions)
    assert "--json" in said or verb == "mcp"
