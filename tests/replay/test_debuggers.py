"""Recorded executions in other debuggers: a scripted client of the Debug Adapter Protocol, and pdb on a terminal."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from durable_debugger.cli import main
from durable_debugger.cli.exits import CommandError
from durable_debugger.cli.ide import DEFAULT_PORT, write_configuration
from tests.replay.debugged import AttachedReplay, Terminal, command, line_of, recorded

DRAWING = Path(__file__).parent.parent.parent / "docs" / "images" / "pycharm-attach.svg"
SVG = "{http://www.w3.org/2000/svg}"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="replays need fork")


@pytest.mark.acceptance
@pytest.mark.parametrize("style", ["async", "plain"])
def test_an_ide_steps_through_the_code_and_not_through_the_sdk(style: str, tmp_path: Path) -> None:
    case = recorded(style, tmp_path)
    with AttachedReplay(case) as replay:
        ide = replay.client
        start = line_of(case.module, "stock = ")
        ide.attach({case.module: [start]})
        assert ide.stopped() == ("breakpoint", "handler", start)
        reason, function, _ = ide.step("stepIn")
        assert (reason, function) == ("step", "total")
        assert [frame["name"] for frame in ide.stack()] == ["total", "handler"]
        ide.step("next")
        assert ide.variables()["found"] == "'reserved A1'"
        assert ide.step("stepOut")[1] == "handler"
        if ide.stack()[0]["line"] == start:
            ide.step("next")  # the assignment itself
        assert ide.stack()[0]["line"] == start + 1
        assert ide.step("next") == ("step", "handler", start + 2)
        assert ide.variables()["paid"] == "'charged 5'"
        assert ide.evaluate("stock + paid") == "'reserved A1!charged 5'"
        assert ide.step("next") == ("step", "handler", start + 3)  # over the recorded wait of five minutes
        ide.go_on()
        ide.event("terminated")
        assert replay.end() == 0
    assert "verdict: same" in replay.printed
    assert "the replay in the debugger ended: SUCCEEDED, 4 calls" in replay.printed


def drawn_settings() -> dict[str, str]:
    """The settings in the documentation's drawing of PyCharm's dialog, by the id of the field."""
    drawing = ET.parse(DRAWING)
    return {text.attrib["id"]: text.text or "" for text in drawing.iter(f"{SVG}text") if "id" in text.attrib}


@pytest.mark.acceptance
@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["the files that run", "a copy of them"])
def test_an_ide_attaches_with_the_settings_that_the_documentation_draws(is_elsewhere: bool, tmp_path: Path) -> None:
    settings = drawn_settings()
    assert settings["port"] == str(DEFAULT_PORT)  # here a free one: another test may use that
    assert settings["request"] == "attach"
    case = recorded("async", tmp_path)
    arguments, file = json.loads(settings["arguments"]), case.module
    if is_elsewhere:
        file = tmp_path / "project" / case.module.name
        file.parent.mkdir()
        file.write_text(case.module.read_text("utf-8"), "utf-8")
        arguments["pathMappings"] = [{"localRoot": str(file.parent), "remoteRoot": str(tmp_path)}]
    with AttachedReplay(case, host=settings["host"]) as replay:
        ide = replay.client
        paid = line_of(file, "paid = ")
        ide.attach({file: [paid]}, **arguments)
        assert ide.stopped() == ("breakpoint", "handler", paid)
        assert ide.stack()[0]["source"]["path"] == str(file)
        assert ide.step("next") == ("step", "handler", paid + 1)
        assert ide.variables()["paid"] == "'charged 5'"
        ide.go_on()
        ide.event("terminated")
        assert replay.end() == 0


@pytest.mark.acceptance
def test_an_ide_stops_in_the_items_of_a_map(tmp_path: Path) -> None:
    case = recorded("map", tmp_path)
    with AttachedReplay(case) as replay:
        ide = replay.client
        item, after = line_of(case.module, "found = "), line_of(case.module, "paid = ")
        ide.attach({case.module: [item, after]})
        found = []
        for _ in range(2):
            assert ide.stopped()[1:] == ("one", item)
            assert ide.step("next")[1:] == ("one", item + 1)
            found.append(ide.variables()["found"])
            ide.go_on()
        assert sorted(found) == ["'reserved A1'", "'reserved B2'"]
        assert ide.stopped()[1:] == ("handler", after)
        ide.go_on()
        ide.event("terminated")
        assert replay.end() == 0


@pytest.mark.acceptance
def test_stepping_over_gathered_calls_ends_on_the_next_line(tmp_path: Path) -> None:
    case = recorded("gather", tmp_path)
    with AttachedReplay(case) as replay:
        ide = replay.client
        start = line_of(case.module, "stock, paid = ")
        ide.attach({case.module: [start]})
        assert ide.stopped()[1:] == ("handler", start)
        assert ide.step("next") == ("step", "handler", start + 1)
        assert ide.variables()["stock"] == "'reserved A1'"
        ide.go_on()
        ide.event("terminated")
        assert replay.end() == 0


@pytest.mark.acceptance
@pytest.mark.parametrize("style", ["async", "plain", "map", "gather"])
def test_an_ide_stops_at_the_first_divergence(style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = recorded(style, tmp_path, is_diverged=True)
    with AttachedReplay(case) as replay:
        ide = replay.client
        ide.attach({})
        assert ide.stopped() == ("exception", "handler", line_of(case.module, "cool_down"))
        assert ide.variables()["paid"] == "'charged 5'"
        text = ide.request("exceptionInfo", threadId=ide.thread)["description"]
        assert 'recorded   wait "pause" 300 s' in text
        assert 'replayed   wait "cool_down" 300 s' in text
        assert "fix " in text
        ide.go_on()
        ide.event("terminated")
        code = replay.end()
    assert "PYDEV DEBUGGER WARNING" not in replay.printed
    assert code == main(command(case, "--json")[3:]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] in replay.printed


EFFECTS = """
@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    await ctx.step(reserve())
    {effect}
    return await ctx.step(charge())
"""


REFUSED = (
    "open('written.txt', 'w')",
    "__import__('threading').Thread(target=open, args=('written.txt', 'w')).start()",
    "__import__('socket').create_connection(('127.0.0.1', 9))",
    "__import__('subprocess').run(['touch', 'written.txt'])",
    "__import__('ctypes').CDLL(None).creat(b'written.txt', 0o600)",
)
CAUGHT = "".join(
    f"""
    with __import__('contextlib').suppress(OSError):
        {effect}"""
    for effect in REFUSED
)
PRETENDING = """
    __import__('_pydevd_bundle.pydevd_daemon_thread', fromlist=['x']).PyDBDaemonThread(None).start()
    __import__('pydevd_tracing').get_exception_traceback_str()
    open('written.txt', 'w')"""


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("effects", "said", "times"),
    [(CAUGHT, "refused: effects.py", len(REFUSED)), (PRETENDING, "refused: ", 1)],
    ids=["each", "pretending"],
)
def test_the_debugger_opens_no_hole_for_side_effects(effects: str, said: str, times: int, tmp_path: Path) -> None:
    from tests.tui.broken import Broken, record

    case = record(Broken("effects", EFFECTS.format(effect="pass"), EFFECTS.format(effect=effects)), tmp_path)
    with AttachedReplay(case) as replay:
        ide = replay.client
        ide.attach({})
        if ide.event("stopped", "terminated")["event"] == "stopped":
            ide.send("continue", threadId=1)
            ide.event("terminated")
        assert replay.end() != 0, replay.printed
    assert not (tmp_path / "written.txt").exists()
    assert replay.printed.count(said) == times, replay.printed


@pytest.mark.acceptance
def test_what_is_evaluated_at_a_stop_has_no_side_effects(tmp_path: Path) -> None:
    case = recorded("async", tmp_path)
    with AttachedReplay(case) as replay:
        ide = replay.client
        ide.attach({case.module: [line_of(case.module, "paid = ")]})
        ide.stopped()
        with pytest.raises(AssertionError, match="is refused while"):
            ide.evaluate("open('written.txt', 'w')")
        ide.go_on()
        ide.event("terminated")
        assert replay.end() == 0
    assert not (tmp_path / "written.txt").exists()
    assert "writing written.txt" in replay.printed


@pytest.mark.acceptance
@pytest.mark.parametrize("style", ["async", "plain"])
def test_pdb_steps_over_calls_and_stops_at_the_divergence(style: str, tmp_path: Path) -> None:
    case = recorded(style, tmp_path, is_diverged=True)
    terminal = Terminal(command(case, "--pdb"), tmp_path)
    start = line_of(case.module, "stock = ")
    assert f"({start})handler()" in terminal.wait_for("(durable-pdb) ")
    assert "found = " in terminal.ask("s")
    assert "total()" in terminal.ask("w")
    assert f"({start + 1})handler()" in terminal.ask("r")
    assert f"({start + 2})handler()" in terminal.ask("n")
    assert "'charged 5'" in terminal.ask("p paid")
    stop = terminal.ask("c")
    assert "NondeterminismError" in stop
    assert 'recorded   wait "pause"' in stop
    assert 'replayed   wait "cool_down"' in stop
    assert f"({start + 2})handler()" in stop
    assert "'reserved A1!'" in terminal.ask("p stock")
    terminal.send("c")
    assert terminal.end() == 1
    assert "differs at handler/pause" in terminal.printed


@pytest.mark.acceptance
def test_pdb_stays_in_a_map_item(tmp_path: Path) -> None:
    case = recorded("map", tmp_path)
    terminal = Terminal(command(case, "--pdb"), tmp_path)
    terminal.wait_for("(durable-pdb) ")
    item = line_of(case.module, "found = ")
    assert "Breakpoint 1" in terminal.ask(f"b {case.module}:{item}")
    assert f"({item})one()" in terminal.ask("c")
    sku = terminal.ask("p sku")
    assert f"({item + 1})one()" in terminal.ask("n")
    found = terminal.ask("p found")
    assert ("A1" in sku) == ("A1" in found)
    terminal.ask("cl 1")
    assert "handler()" in terminal.ask("r")
    terminal.send("q")
    assert terminal.end() == 0
    assert "left before its end" in terminal.printed


@pytest.mark.acceptance
@pytest.mark.parametrize("style", ["async", "plain"])
def test_pdb_stops_where_the_handler_fails(style: str, tmp_path: Path) -> None:
    from tests.replay.debugged import STYLES
    from tests.tui.broken import Broken, record

    failing = STYLES[style].replace("return stock", "return stock[99]")
    case = record(Broken("failing", STYLES[style], failing), tmp_path)
    terminal = Terminal(command(case, "--pdb"), tmp_path)
    terminal.wait_for("(durable-pdb) ")
    stop = terminal.ask("c")
    assert "IndexError" in stop
    assert "return stock[99]" in stop
    terminal.send("c")
    assert terminal.end() == 4


@pytest.mark.acceptance
def test_code_that_returns_too_early_stops_at_its_last_line(tmp_path: Path) -> None:
    from tests.replay.debugged import ASYNC
    from tests.tui.broken import Broken, record

    shorter = ASYNC.replace("    await ctx.step(ship(paid))\n", "")
    case = record(Broken("shorter", ASYNC, shorter), tmp_path)
    with AttachedReplay(case) as replay:
        ide = replay.client
        ide.attach({})
        reason, function, line = ide.stopped()
        assert (reason, line) == ("exception", line_of(case.module, "return stock"))
        assert function.startswith("handler")
        assert ide.variables()["stock"] == "'reserved A1!'"
        ide.go_on()
        ide.event("terminated")
        assert replay.end() == 1


ENTRY = {"name": "Replay with durable-debug", "type": "debugpy", "request": "attach", "connect": {"port": 1}}
EXISTING = """{
    // See https://go.microsoft.com/fwlink/?linkid=830387
    "version": "0.2.0",
    "configurations": [
        {
            "name": "Mine", /* kept */
            "url": "http://example.com", // not a comment
        },
    ],
}
"""


def test_the_entry_is_merged_into_a_file_with_comments(tmp_path: Path) -> None:
    path = tmp_path / ".vscode" / "launch.json"
    path.parent.mkdir()
    path.write_text(EXISTING, encoding="utf-8")
    write_configuration(path, ENTRY)
    first = path.read_text(encoding="utf-8")
    assert "// See https" in first
    assert '"name": "Mine", /* kept */' in first
    write_configuration(path, {**ENTRY, "connect": {"port": 2}})
    second = path.read_text(encoding="utf-8")
    assert second == first.replace('"port": 1', '"port": 2')
    assert second.count("Replay with durable-debug") == 1


def test_the_entry_makes_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / ".vscode" / "launch.json"
    write_configuration(path, ENTRY)
    assert json.loads(path.read_text(encoding="utf-8"))["configurations"] == [ENTRY]


@pytest.mark.parametrize("text", ["{", "[]", '{"version": "0.2.0"}', '{"configurations": {}}'])
def test_a_file_that_is_no_configuration_is_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "launch.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError, match="by hand"):
        write_configuration(path, ENTRY)
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--pdb", "--json"], "--pdb has no JSON"),
        (["--debugpy", "--json"], "--debugpy has no JSON"),
        (["--pdb", "--debugpy"], "not allowed with"),
        (["--write-config"], "add --debugpy"),
        (["--pdb"], "--pdb needs a terminal"),
        (["--debugpy", "x.py"], "whole number from 0 to 65535"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "any.json", "any.py:handler", *options]) == 2
    assert words in capsys.readouterr().err
