"""Reports in every format."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema  # type: ignore[import-untyped]  # has no types of its own
import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.divergence import Cause, Evidence
from durable_execution.history.reading import read_history
from durable_execution.replay import FORMATS, Replayer, ReplayReport, Verdict, render, worst
from durable_execution.replay.formats import headline, relative_in
from tests.replay import workflows
from tests.replay.recording import history_of


@pytest.fixture(scope="module")
def reports() -> list[ReplayReport]:
    events, arn = history_of(workflows.plain)
    recording = read_history(events, arn=arn)
    decide, _, _ = workflows.DECISIONS["time.time"]
    handlers = {
        "same.json": workflows.plain,
        "diverged.json": workflows.deciding(decide),
        "effects.json": workflows.acting(workflows.connect(9)),
        "failed.json": workflows.acting(lambda: int("missing")),
    }
    found = [Replayer(handler).replay(recording, source=source) for source, handler in handlers.items()]
    return [
        *found,
        ReplayReport("broken.json", "shop:flow", Verdict.UNREADABLE, error="it is \x1b[31m not JSON & <cut>"),
    ]


def test_text_has_the_five_lines_and_a_summary(reports: list[ReplayReport]) -> None:
    text = render(reports, "text")
    for word in ("recorded", "replayed", "likely", "effect", "fix"):
        assert f"\n    {word:<10} " in text
    assert text.splitlines()[-1] == ("5 recordings: 1 same, 1 diverged, 1 with side effects, 1 failed, 1 unreadable")
    assert "\x1b" not in text


@pytest.mark.parametrize("name", ["text", "junit", "sarif", "github"])
def test_files_are_named_as_they_are_called_from_here(
    reports: list[ReplayReport], name: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    text = render(reports, name)
    assert re.search(r"[ >]tests/replay/workflows\.py:", text)
    assert str(repository) not in text


def test_only_whole_paths_below_the_working_folder_are_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative_in(f"in {tmp_path}/shop/flow.py:3 and '{tmp_path}/a.py'") == "in shop/flow.py:3 and 'a.py'"
    assert relative_in(f"/data{tmp_path}/flow.py {tmp_path}") == f"/data{tmp_path}/flow.py {tmp_path}"
    monkeypatch.chdir("/")
    assert relative_in("see https://example.org in /shop/flow.py") == "see https://example.org in /shop/flow.py"


def test_other_suspects_are_listed_only_while_the_cause_is_not_known(reports: list[ReplayReport]) -> None:
    root = reports[1].root
    assert root is not None
    for evidence, shows in (
        (None, True),
        (Evidence.POSSIBLE, True),
        (Evidence.CHANGED, False),
        (Evidence.OBSERVED, False),
    ):
        cause = Cause(evidence, "a.py", 1, "a.py:1 was edited", "undo it") if evidence is not None else None
        one = replace(root, suspects=("first", "second"), likely="likely", cause=cause)
        text = render([replace(reports[1], divergences=(one,))], "text")
        assert ("also       second" in text) is shows


def test_a_headline_says_how_far_the_replay_came() -> None:
    def shown(verdict: Verdict, calls: int) -> str:
        return headline(ReplayReport("a.json", "shop:flow", verdict, calls=calls)).rpartition("  ")[2]

    assert shown(Verdict.SAME, 1) == "(1 call)"
    assert shown(Verdict.DIVERGED, 2) == "(after 2 calls)"
    assert shown(Verdict.DIVERGED, 0) == "(at the first call)"


def test_one_recording_needs_no_summary(reports: list[ReplayReport]) -> None:
    header, line = render(reports[:1], "text").splitlines()
    assert header == "isolation: audit hook only"
    assert line.startswith("same")


def test_json(reports: list[ReplayReport]) -> None:
    document = json.loads(render(reports, "json"))
    assert document["exit_code"] == 3
    counted = {name: number for name, number in document["summary"].items() if number}
    assert counted == {"recordings": 5, "same": 1, "diverged": 1, "effects": 1, "failed": 1, "unreadable": 1}
    assert not document["is_partial"]
    root = document["reports"][1]["divergences"][0]
    assert (root["kind"], root["path"], root["is_root"]) == ("inserted", "plain/extra", True)
    assert set(root["explanation"]) == {"recorded", "replayed", "likely", "effect", "fix"}
    assert document["reports"][1]["suspects"][0]["kind"] == "clock"


def test_junit_is_well_formed(reports: list[ReplayReport]) -> None:
    suite = ET.fromstring(render(reports, "junit")).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "2", "2")
    shape = [[child.tag for child in case] for case in suite.findall("testcase")]
    assert shape == [[], ["failure"], ["failure"], ["error"], ["error"]]


def test_sarif_points_at_the_call(reports: list[ReplayReport]) -> None:
    run = json.loads(render(reports, "sarif"))["runs"][0]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert all(result["ruleId"] in rules for result in run["results"])
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("tests/replay/workflows.py")
    assert place["region"]["startLine"] > 1


def test_github_annotations_are_one_line_each(reports: list[ReplayReport]) -> None:
    lines = render(reports, "github").splitlines()
    assert all(line.startswith("::") for line in lines)
    assert lines[0].startswith("::error file=")
    assert "title=New call in diverged.json::" in lines[0]
    assert "%0A" in lines[0]
    assert lines[-1].startswith("::notice")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_no_reports(name: str) -> None:
    assert render([], name).endswith("\n")


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="text, json, junit, sarif, github"):
        render([], "yaml")


def test_the_worst_report_decides_the_exit_code(reports: list[ReplayReport]) -> None:
    assert [worst(reports[:count]) for count in range(6)] == [0, 0, 1, 1, 4, 3]


def test_every_sarif_result_has_a_place_and_the_driver_a_version() -> None:
    reports = [
        ReplayReport("a b.json", "shop.orders:flow", Verdict.EXITED, error="it ended its process"),
        ReplayReport("c.json", "flows/shop.py:flow", Verdict.UNREADABLE, error="no events"),
    ]
    run = json.loads(render(reports, "sarif"))["runs"][0]
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", run["tool"]["driver"]["version"])
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]]
    assert places == ["a%20b.json", "flows/shop.py"]


def test_sarif_follows_its_schema(reports: list[ReplayReport], repository: Path) -> None:
    path = repository / "tests" / "replay" / "schemas" / "sarif-2.1.0-rtm.5.json"  # without its descriptions
    validator = jsonschema.Draft4Validator(json.loads(path.read_text(encoding="utf-8")))
    for written in (render(reports, "sarif"), render([], "sarif"), render(apart(), "sarif")):
        assert list(validator.iter_errors(json.loads(written))) == []
    assert list(validator.iter_errors({"version": "2.1.0"})) != [], "the schema finds what is wrong"


NAMES = [
    "histories/a b.json",
    "bücher/é.json",
    r"C:\work\a b.json",
    "/srv/histories/a.json",
    "named-in-latin-1-\udcfc.json",
    "no-file-has-this-name-\ud800.json",
    "\x1b[31m\x00\n.json",
    "-",
    "arn:aws:lambda:eu-central-1:123456789012:function:flow:$LATEST/durable-execution/n/i",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_outcome_of_every_recording_can_be_written(name: str, repository: Path) -> None:
    path = repository / "tests" / "replay" / "schemas" / "sarif-2.1.0-rtm.5.json"
    validator = jsonschema.Draft4Validator(json.loads(path.read_text(encoding="utf-8")))
    reports = [
        ReplayReport(name, "shop:flow", one, error=None if one is Verdict.SAME else f"\x1b \ud800 in {name}")
        for one in Verdict
    ]
    written = {form: render(reports, form).encode() for form in FORMATS}
    assert list(validator.iter_errors(json.loads(written["sarif"]))) == []
    suite = ET.fromstring(written["junit"]).find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    for attribute, tag in (("tests", ""), ("failures", "failure"), ("errors", "error")):
        found = sum(1 for case in cases if not tag or case.find(tag) is not None)
        assert suite.get(attribute) == str(found)
    assert suite.get("skipped") == "0"
    assert len(json.loads(written["json"])["reports"]) == len(reports)


def test_names_of_files_become_references_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def place(source: str) -> str:
        run = json.loads(render([ReplayReport(source, "shop:flow", Verdict.UNREADABLE, error="cut")], "sarif"))["runs"][
            0
        ]
        return str(run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])

    assert place("b\udcfcro/a b.json") == "b%FCro/a%20b.json"
    assert place(f"{tmp_path}/a b.json") == "a%20b.json"
    assert place("/srv/a b.json") == "file:///srv/a%20b.json"


@pytest.mark.parametrize("command", ["durable-debug check", "durable-debug gate"])
def test_formats_name_the_command(reports: list[ReplayReport], command: str) -> None:
    assert json.loads(render(reports, "sarif", command=command))["runs"][0]["tool"]["driver"]["name"] == command
    suite = ET.fromstring(render(reports, "junit", command=command)).find("testsuite")
    assert suite is not None
    assert suite.get("name") == command
    assert f"::notice title={command}::" in render(reports, "github", command=command)


LONG = "x" * 300


def answering(ending: str) -> Any:
    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> dict[str, str]:
        await ctx.step(lambda step: 1, name=f"load_{LONG[:100]}{'' if ending != 'named' else 'y'}{LONG[:100]}")
        await ctx.invoke("billing", {"text": LONG + (ending if ending == "asked" else "")}, name="bill")
        return {"z": "last", "text": LONG + (ending if ending == "told" else "recorded") + LONG}

    return handler


def apart() -> list[ReplayReport]:
    """Reports of values that differ only behind the first hundred characters."""
    functions = {"billing": lambda event, context: 1}
    events, arn = history_of(answering("recorded"), functions=functions)
    recording = read_history(events, arn=arn)
    return [Replayer(answering(ending), cause=False).replay(recording) for ending in ("told", "asked", "named")]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_values_that_differ_late_are_never_shown_alike(number: int) -> None:
    report = apart()[number]
    root = report.root
    assert root is not None
    assert root.recorded is not None
    assert root.replayed is not None
    assert root.recorded.shown != root.replayed.shown
    for name in FORMATS:
        lines = re.sub(r"%0A|\\\\n|\\n|&#10;", "\n", render([report], name)).splitlines()
        shown = [
            line.split(word, 1)[1].split("  id ")[0]
            for word in ("recorded   ", "replayed   ")
            for line in lines
            if word in line
        ]
        assert name == "json" or shown[0].partition("  ")[0] != shown[1].partition("  ")[0], name


def test_json_has_the_whole_values() -> None:
    told, asked, _ = (json.loads(render([report], "json"))["reports"][0]["divergences"][0] for report in apart())
    assert json.loads(told["replayed"]["value"].removeprefix("result "))["text"] == f"{LONG}told{LONG}"
    assert json.loads(asked["replayed"]["value"]) == {"text": f"{LONG}asked"}
    assert json.loads(asked["recorded"]["value"]) == {"text": LONG}
