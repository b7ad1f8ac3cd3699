"""No outlet shows a secret: replay traces, spans, exports, command output in every form, and the debugger's screen."""

import base64
import json
import logging
import re
import zlib
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main as durable_debug
from durable_debugger.cli.mcp_server import Tools, add_mcp_arguments
from durable_debugger.model.differences import differences_of
from durable_debugger.model.secrets import Secrets
from durable_debugger.model.session import Session
from durable_debugger.sources.code import SourceTexts
from durable_debugger.sources.found import Loaded
from durable_debugger.sources.local import LocalExecutions
from durable_debugger.sources.places import find
from durable_debugger.text.cells import safe
from durable_debugger.text.segments import Part
from durable_debugger.views.page import replay_page
from durable_debugger.views.source import Listing, highlighted, recorded_line, source_line
from durable_execution.local import LocalEngine
from durable_execution.redaction import HIDDEN
from durable_execution.replay import FORMATS, Replayer, ReplayReport, render
from durable_execution.telemetry import correlate_logs
from durable_execution.trace.sources import source_texts
from tests.campaigns.surfaces import drawn
from tests.unit.redaction import leaky, secrets

FORMS = (
    ("show", "{}"),
    ("show", "{}", "--json"),
    ("show", "{}", "--events"),
    ("show", "{}", "--timeline"),
    ("show", "{}", "--trace"),
    ("export", "{}", "--to", "json"),
    ("export", "{}", "--to", "html"),
    ("export", "{}", "--to", "otlp"),
    ("export", "{}", "--to", "perfetto"),
    ("export", "{}", "--to", "bundle"),
    ("list",),
    ("diff", "{}", "{}"),
    ("replay", "{}", "{module}:leaks", "--headless"),
    ("replay", "{}", "{module}:leaks", "--json"),
    ("replay", "{}", "{module}:changed", "--headless"),
    ("replay", "{}", "{module}:changed", "--json"),
    ("explain", "{}"),
    ("explain", "{}", "--json"),
    ("explain", "{}", "{module}:changed"),
    ("explain", "{}", "{module}:changed", "--json"),
    ("show", "{}", "--cost"),
    ("show", "{}", "--cost", "--json"),
    ("export", "{}", "--to", "history"),
    ("export", "{}", "--to", "html", "--lines", "{module}:leaks"),
    ("export", "{}", "--to", "html", "--lines", "{module}:changed"),
    ("fleet", "{store}", "--headless"),
    ("fleet", "{store}", "--json"),
    ("fleet", "{store}", "{module}:changed", "--headless", "--jobs", "1"),
    ("fleet", "{store}", "{module}:changed", "--json", "--jobs", "1"),
    ("check", "{}", "{module}:changed", "--jobs", "1"),
    ("check", "{}", "{module}:leaks", "--jobs", "1", "--format", "json"),
    ("fork", "{}", "{module}:leaks", "--at", "body"),
    ("fork", "{}", "{module}:leaks", "--at", "body", "--json"),
    ("fork", "{}", "{module}:changed", "--at", "body", "--json"),
    ("fork", "{}", "{module}:leaks", "--at", "body", "--result", "{result}"),
    ("fork", "{}", "{module}:fails_at_last", "--at", "body", "--error", "ValueError:password=leak000zq7"),
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store with executions full of secrets, with everything that can be recorded beside it."""
    directory = tmp_path_factory.mktemp("leaky")
    payload = {"plain": leaky.values(), "nested": json.dumps({"body": json.dumps(leaky.values())})}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DURABLE_REPLAY_TRACE_PAYLOADS", "1")
        patch.setenv("DURABLE_REPLAY_TRACE_LOCALS", "1")
        with LocalEngine(directory / "executions.db", time="skip") as engine:
            engine.register("leaks", leaky.leaks)
            engine.register("fails", leaky.fails_at_last)
            arns = [engine.start("leaks", payload), engine.start("fails", payload)]
            statuses = [engine.wait(arn).status for arn in arns]
    assert statuses == ["SUCCEEDED", "FAILED"]
    return directory, arns


def leaked(text: str) -> list[str]:
    """The secrets that stand in a text, and in the source that it holds compressed."""
    text += "".join(packed_source(text))
    found = [name for name, value in leaky.values().items() if value in text]
    found += [value for value in leaky.written() if value in text]
    return found + [shape for shape in secrets.SHAPES if shape in text or json.dumps(shape)[1:-1] in text]


def packed_source(text: str) -> list[str]:
    """The source files in a replay trace, or in a document that holds one."""
    packed = re.findall(r'"zlib\\?": ?\\?"([^"\\]+)', text)
    return [zlib.decompress(base64.b64decode(each)).decode() for each in packed]


def test_the_source_in_a_replay_trace(recorded: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """What is recorded and exported, line by line as it was but for its secrets."""
    directory, arns = recorded
    durable_debug(["export", arns[0], "--to", "bundle", "--store", str(directory / "executions.db")])
    traces = "".join(path.read_text() for path in (directory / "traces").rglob("*") if path.is_file())
    written = Path(leaky.__file__).read_text().splitlines()
    for text in (traces, capsys.readouterr().out):
        found = [source.splitlines() for source in packed_source(text) if source.startswith(written[0])]
        assert found
        for lines in found:
            assert len(lines) == len(written)
            hidden = {number for number, line in enumerate(lines) if line != written[number]}
            secret = {number for number, line in enumerate(written) if re.search(r"leak90\dzq7", line)}
            assert hidden >= secret
            assert len(hidden - secret) <= 1, "code is not hidden"


@pytest.mark.parametrize("kind", ["traces", "spans"])
def test_what_is_recorded_beside_the_store(recorded: tuple[Path, list[str]], kind: str) -> None:
    files = [path for path in (recorded[0] / kind).rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert leaked(path.read_text()) == []


@pytest.fixture(scope="module")
def replayed(recorded: tuple[Path, list[str]]) -> list[tuple[Loaded, ReplayReport]]:
    """The executions, with replays of code that differs."""
    place = LocalExecutions(recorded[0] / "executions.db")
    loaded = [find(arn, [place]) for arn in recorded[1]]
    place.close()
    replayer = Replayer(leaky.changed, cause=False)
    return [(each, replayer.replay(each.execution)) for each in loaded]


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_of_a_report(replayed: list[tuple[Loaded, ReplayReport]], form: str) -> None:
    text = render([report for _, report in replayed], form)
    assert text
    assert leaked(text) == []


def test_the_page_of_a_report(replayed: list[tuple[Loaded, ReplayReport]]) -> None:
    reports = [replace(report, execution=loaded.execution) for loaded, report in replayed]
    assert leaked("\n".join(replay_page(reports, Secrets()))) == []


@pytest.mark.parametrize("width", [80, 400])
def test_every_view_of_the_debugger(replayed: list[tuple[Loaded, ReplayReport]], width: int) -> None:
    """The lines that the screens show, at every row, event and moment, alone and compared with a replay."""
    for loaded, report in replayed:
        for differences in (None, differences_of(report, loaded.execution)):
            session = Session(loaded.execution, as_of=loaded.as_of, differences=differences)
            session.outline.unfold_all()
            text = "\n".join(map(text_of, drawn(session, width)))
            assert HIDDEN in text
            assert leaked(text) == []


def test_every_source_line_of_the_debugger(replayed: list[tuple[Loaded, ReplayReport]]) -> None:
    """Today's code and the recorded code, which stand side by side when they differ."""
    file = str(Path(leaky.__file__))
    secret = [value for value in leaky.written() if value in Path(file).read_text()]
    assert secret == leaky.written()
    text = SourceTexts().shown(file, Secrets())
    assert text is not None
    session = Session(replayed[0][0].execution, as_of=replayed[0][0].as_of)
    for lines in (highlighted(text.lines), [[Part(safe(line))] for line in text.lines]):
        listing = Listing(file, lines, file)
        drawn_lines = [source_line(session, listing, {}, at, 200, current=None) for at in range(len(lines))]
        shown = text_of(drawn_lines)
        assert HIDDEN in shown
        assert leaked(shown) == []
    (trace, *_) = replayed[0][0].execution.traces
    recorded = source_texts(trace.sources)[file].text.splitlines()
    shown = text_of([recorded_line(recorded, at, 200, is_changed=False) for at in range(len(recorded))])
    assert HIDDEN in shown
    assert leaked(shown) == []


@pytest.mark.parametrize("handler", ["leaks", "changed", "fails_at_last"])
def test_every_log_record_that_this_package_writes_or_adds_to(
    handler: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A record of user code keeps its own message; what correlation adds to it shows nothing."""
    payload = {"plain": leaky.values(), "nested": json.dumps({"body": json.dumps(leaky.values())})}
    undo = correlate_logs()
    try:
        with caplog.at_level(logging.DEBUG), LocalEngine(tmp_path / "executions.db", time="skip") as engine:
            engine.register(handler, leaky.said(getattr(leaky, handler)))
            engine.wait(engine.start(handler, payload))
    finally:
        undo()
    assert [record for record in caplog.records if hasattr(record, "executionArn")]
    for record in caplog.records:
        text = logging.Formatter("%(message)s").format(record) + json.dumps(vars(record), default=str)
        assert leaked(text) == []


def text_of(drawing: Any) -> str:
    """The text of a line, of lines, or of anything that holds them."""
    if isinstance(drawing, Part):
        return drawing.text
    if isinstance(drawing, (list, tuple)):
        found = [text_of(each) for each in drawing]
        return ("" if drawing and isinstance(drawing[0], Part) else "\n").join(found)
    return str(drawing)


@pytest.mark.acceptance
@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_what_a_command_prints(
    recorded: tuple[Path, list[str]], form: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, arns = recorded
    for arn in arns:
        store = str(directory / "executions.db")
        result = json.dumps(leaky.values())
        words = [word.format(arn, module="tests.unit.redaction.leaky", store=store, result=result) for word in form]
        durable_debug([*words, "--store", store])
        printed = capsys.readouterr()
        assert printed.out
        assert leaked(printed.out + printed.err) == []


@pytest.mark.parametrize("handler", ["leaks", "fails_at_last"])
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_what_a_run_prints(
    handler: str, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its progress, its result and its error."""
    payload = {"plain": leaky.values(), "nested": json.dumps({"body": json.dumps(leaky.values())})}
    (tmp_path / "input.json").write_text(json.dumps(payload))
    words = ("run", f"tests.unit.redaction.leaky:{handler}", "--input", f"@{tmp_path / 'input.json'}")
    durable_debug([*words, "--time", "skip", "--store", str(tmp_path / "executions.db"), *options])
    printed = capsys.readouterr()
    assert HIDDEN in printed.out + printed.err
    assert leaked(printed.out + printed.err) == []
    durable_debug([*words, "--time", "skip", "--store", str(tmp_path / "second.db"), "--show-secrets", *options])
    printed = capsys.readouterr()
    assert leaked(printed.out + printed.err)


def test_what_an_assistant_is_told(recorded: tuple[Path, list[str]]) -> None:
    directory, arns = recorded
    parser = ArgumentParser()
    add_mcp_arguments(parser)
    tools = Tools(parser.parse_args(["--store", str(directory / "executions.db")]))
    module = "tests.unit.redaction.leaky"
    for arn in arns:
        for answer in (
            tools.list_executions(),
            tools.show(arn),
            tools.explain(arn),
            tools.explain(arn, f"{module}:changed"),
            tools.replay(arn, f"{module}:changed"),
            tools.diff(arn, arns[0]),
        ):
            assert answer
            assert leaked(answer) == []


def test_what_a_fork_leaves_beside_its_store(recorded: tuple[Path, list[str]], tmp_path: Path) -> None:
    """The store holds what a replay needs; traces and spans do not."""
    history = tmp_path / "history.json"
    store = str(recorded[0] / "executions.db")
    durable_debug(["export", recorded[1][0], "--to", "history", "-o", str(history), "--store", store, "--show-secrets"])
    durable_debug(
        ["fork", str(history), "tests.unit.redaction.leaky:leaks", "--at", "body", "--store", str(tmp_path / "fork.db")]
    )
    beside = [
        path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(("fork.db", "history"))
    ]
    for path in beside:
        assert leaked(path.read_text(errors="replace")) == []
