"""Every form in which an execution is exported is read back, by every reader, with the same verdict."""

import gzip
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from durable_execution.errors import DurableError
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import Handlers
from durable_execution.replay.loading import load_handler, load_history
from durable_execution.testing import LocalRunner
from durable_execution.testing.plugin_histories import update_history

FLOW = """
from datetime import timedelta
from durable_execution import durable_execution
from .errors import Declined

NAME = "charge"

@durable_execution
async def process_order(event, ctx):
    number = (await ctx.step(lambda _: 20, name="count")) + int(ctx.random().random() * 10)
    await ctx.wait(timedelta(minutes=1), name=f"pause-{number}")
    try:
        await ctx.step(_charge, name=NAME)
    except Declined:
        return await ctx.step(lambda _: "refunded", name="refund")

def _charge(_):
    raise Declined("no money")

@durable_execution
async def other(event, ctx):
    return await ctx.step(lambda _: 1, name="one")
"""
FORMS = ("history", "json", "bundle")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with a workflow, and a store with executions of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    package = tmp_path / "in_and_out_shop"
    (package / "flows").mkdir(parents=True)
    for folder in (package, package / "flows"):
        (folder / "__init__.py").write_text("")
    (package / "flows" / "errors.py").write_text("class Declined(Exception):\n    pass\n")
    (package / "flows" / "orders.py").write_text(FLOW)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("in_and_out_shop")]:
        del sys.modules[name]


FILE = "in_and_out_shop/flows/orders.py"
MODULE = "in_and_out_shop.flows.orders"


@pytest.fixture
def stored(shop: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["run", f"{FILE}:process_order", "--time", "skip", "--input", '{"a": 1}', "--name", "first"]) == 0
    execution = capsys.readouterr().out.strip()
    assert main(["run", f"{FILE}:other", "--time", "skip"]) == 0
    capsys.readouterr()
    return execution


def test_a_handler_file_in_a_package_is_a_module_of_the_package(shop: Path) -> None:
    handler = load_handler(f"{FILE}:process_order")
    assert handler.name == f"{MODULE}:process_order"
    assert sys.modules["in_and_out_shop.flows.errors"].Declined.__module__ == "in_and_out_shop.flows.errors"
    assert load_handler(f"{MODULE}:process_order") is handler


def test_a_relative_import_makes_a_package_without_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "in_and_out_names"
    folder.mkdir()
    (folder / "errors.py").write_text("class Declined(Exception):\n    pass\n")
    (folder / "orders.py").write_text(FLOW)
    assert load_handler(f"{folder}/orders.py:other").name == "in_and_out_names.orders:other"


@pytest.mark.parametrize("form", FORMS)
def test_an_export_is_read_by_every_reader(
    form: str, stored: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = f"{form}.history.json"
    assert main(["export", stored, "--to", form, "-o", file]) == 0
    assert main(["show", file, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert main(["show", stored, "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    same = ("arn", "name", "id", "function", "status", "input", "result", "error", "started_at", "ended_at")
    assert {key: shown[key] for key in same} == {key: whole[key] for key in same}
    assert [one["path"].partition("/")[2] for one in shown["operations"]] == [
        one["path"].partition("/")[2] for one in whole["operations"]
    ]
    assert load_history(file).arn == whole["arn"]
    for words in (["check", file], ["replay", file]):
        assert main([*words, f"{FILE}:process_order", "--no-cause"]) == 0
    capsys.readouterr()
    orders = shop / FILE
    orders.write_text(FLOW.replace('"charge"', '"pay"'))
    verdicts = []
    for recording in (file, stored):
        assert main(["check", recording, f"{FILE}:process_order", "--json", "--no-cause"]) == 1
        (report,) = json.loads(capsys.readouterr().out)["reports"]
        told = ("kind", "path") if form == "history" else ("kind", "path", "likely", "fix")  # traces say more
        verdicts.append([[one[key] for key in told] for one in report["divergences"]])
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be-with-a-mark"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_files_that_windows_wrote_are_read(
    encoding: str, ends: str, stored: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", stored, "--to", "history", "-o", "order.json"]) == 0
    file = shop / "order.json"
    text = file.read_text(encoding="utf-8").replace("\n", ends)
    is_big = encoding.startswith("utf-16-be")
    file.write_bytes(b"\xfe\xff" + text.encode("utf-16-be") if is_big else text.encode(encoding))
    assert main(["show", "order.json"]) == 0
    assert main(["check", "order.json", f"{FILE}:process_order", "--no-cause"]) == 0
    assert main(["fleet", ".", "--headless", "--no-cache"]) == 0
    assert load_history(file).arn is not None


def test_a_compressed_history_is_named(stored: str, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", stored, "--to", "history", "-o", "order.json"]) == 0
    (shop / "order.json").write_bytes(gzip.compress((shop / "order.json").read_bytes()))
    for words in (["show", "order.json"], ["check", "order.json", f"{FILE}:process_order", "--no-cause"]):
        assert main(words) == 3
        printed = capsys.readouterr()
        assert "it is compressed with gzip; decompress it with `gunzip`" in printed.out + printed.err
    with pytest.raises(DurableError, match="compressed with gzip"):
        load_history(shop / "order.json")


def test_a_history_is_what_the_aws_cli_prints_with_the_arn(stored: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", stored, "--to", "history"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["DurableExecutionArn", "Events"]
    first = told["Events"][0]
    assert first["EventType"] == "ExecutionStarted"
    assert first["ExecutionStartedDetails"]["Input"]["Payload"] == '{"a": 1}'
    assert first["EventTimestamp"].endswith("+00:00")


def test_a_store_may_be_named_by_its_folder(stored: str, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{FILE}:{{function}}", "--store", ".durable", "--no-cause"]) == 0
    assert "2 recordings: 2 same" in capsys.readouterr().out


def test_a_whole_store_is_checked(stored: str, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--store", ".durable/executions.db", "--no-cause"]
    assert main(["check", f"{FILE}:process_order", *store]) == 0
    out, err = capsys.readouterr()
    assert out.count("same  ") == 1
    assert "left out: 1 execution of other" in err
    assert main(["check", f"{FILE}:{{function}}", *store]) == 0
    assert "2 recordings: 2 same" in capsys.readouterr().out
    assert main(["check", f"other={FILE}:other", *store]) == 0
    assert "other" in capsys.readouterr().out
    assert main(["check", f"{FILE}:{{function}}", *store, "--limit", "1"]) == 0
    assert capsys.readouterr().out.count("same  ") == 1
    assert main(["check", f"{FILE}:other", *store, "--function", "other"]) == 0
    assert capsys.readouterr().out.count("same  ") == 1
    assert main(["check", f"{FILE}:{{function}}", *store, "--status", "failed"]) == 3
    assert "no execution in local store .durable/executions.db is selected" in capsys.readouterr().err
    assert main(["check", "x.json", f"{FILE}:other", "--limit", "1"]) == 2


def without_arn(stored: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["export", stored, "--to", "history"])
    document = json.loads(capsys.readouterr().out)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"Events": document["Events"]}))


@pytest.mark.parametrize(
    ("file", "rules", "said"),
    [
        ("process_order.history.json", ["process_order={}", "x=a:b"], "by the name of its file or folder"),
        ("process_order/monday.json", ["process_order={}", "x=a:b"], "by the name of its file or folder"),
        ("monday.json", ["process_order={}"], "taken for 'process_order', the only candidate"),
        ("monday.json", ["{}"], "the only candidate"),
        ("monday.json", ["{}", "x=a:b"], "which is for any function"),
    ],
)
def test_a_history_without_an_arn_is_matched_and_the_report_says_how(
    file: str, rules: list[str], said: str, stored: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_arn(stored, shop / file, capsys)
    handlers = [rule.format(f"{FILE}:process_order") for rule in rules]
    main(["check", file, *handlers, "--json"])
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert report["handler"] == f"{MODULE}:process_order"
    assert any(said in note and "has no ARN" in note for note in report["notes"])


def test_a_history_without_an_arn_that_fits_nothing_says_what_to_do(
    stored: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_arn(stored, shop / "monday.json", capsys)
    assert main(["check", "monday.json", "y=a:b", "x=a:b"]) == 2
    assert "name the file or its folder after the function (one of y, x)" in capsys.readouterr().err


def documents(execution: RecordedExecution, folder: Path) -> dict[str, Path]:
    """The execution in every form that can be updated."""
    events = json.loads(json.dumps(list(execution.events), default=lambda value: value.isoformat()))
    files = {"list": folder / "list.json", "cli": folder / "cli.json"}
    files["list"].write_text(json.dumps(events))
    files["cli"].write_text(json.dumps({"Events": events, "DurableExecutionArn": execution.arn, "Comment": "mine"}))
    for form in ("json", "bundle"):
        files[form] = folder / f"{form}.json"
        assert main(["export", str(files["cli"]), "--to", form, "-o", str(files[form])]) == 0
    return files


def test_an_update_keeps_what_the_file_had_and_is_idempotent(stored: str, shop: Path) -> None:
    assert main(["export", stored, "--to", "history", "-o", "first.json"]) == 0
    execution = load_history("first.json")
    for form, file in documents(execution, shop).items():
        before: Any = json.loads(file.read_text())
        file.chmod(0o640)
        handlers = Handlers.parse([f"{FILE}:process_order"])
        update_history(file, handlers)
        text = file.read_text()
        after = json.loads(text)
        assert type(after) is type(before)
        if form != "list":
            assert load_history(file).arn == execution.arn
            assert main(["check", str(file), f"{FILE}:process_order", "--no-cause"]) == 0  # the random numbers too
        if form == "cli":
            assert after["Comment"] == "mine"
            assert list(after) == list(before)
        assert [one.path for one in load_history(file).operations] == [
            one.path for one in (execution if form != "list" else load_history(file)).operations
        ]
        assert load_history(file).started_at == execution.started_at
        update_history(file, handlers)
        assert file.read_text() == text
        assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_result_saves_its_history(shop: Path) -> None:
    handler = load_handler(f"{FILE}:other")
    with LocalRunner(handler) as runner:
        result = runner.run({})
    path = result.save_history("histories/deep/other.history.json")
    assert path == Path("histories/deep/other.history.json")
    assert load_history(path).arn == result.arn
    assert main(["check", str(path), f"{FILE}:other"]) == 0


def test_histories_are_checked_with_the_traces_of_a_folder(
    stored: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a trace knows where the recorded call was made."""
    assert main(["export", stored, "--to", "history", "-o", "first.history.json"]) == 0
    without_arn = {"Events": json.loads(Path("first.history.json").read_text())["Events"]}
    Path("nameless.history.json").write_text(json.dumps(without_arn))
    Path(FILE).write_text(FLOW.replace('name="refund"', 'name="pay back"'))
    traces = next(shop.rglob("*.trace.jsonl")).parent
    capsys.readouterr()
    main(["check", "first.history.json", f"{FILE}:process_order", "--traces", str(traces)])
    said = capsys.readouterr()
    assert "orders.py:15" in next(line for line in said.out.splitlines() if line.strip().startswith("recorded"))
    assert "no replay traces" not in said.err
    main(["check", "nameless.history.json", f"{FILE}:process_order", "--traces", str(traces)])
    assert f"no replay traces in {traces} for nameless.history.json: the file has no ARN" in capsys.readouterr().err
