"""Whatever prints a number of things says `0 calls`, `1 call`, `2 calls`: with executions that have 0, 1 and 2 of everything."""

import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

from durable_debugger.cli import main
from durable_debugger.model.differences import differences_of
from durable_debugger.model.session import Session
from durable_debugger.sources.local import LocalExecutions
from durable_debugger.sources.places import find
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.replay import FORMATS, Replayer
from durable_execution.replay.loading import load_handler
from tests.campaigns.surfaces import drawn
from tests.unit.redaction.test_outlets import text_of

FLOW = '''
from datetime import timedelta
from durable_execution import durable_execution

@durable_execution
async def flow(event, ctx):
    """{doc}"""
    many, tried = event["many"], []

    def fails_at_first(step):
        tried.append(1)
        if len(tried) <= many:
            raise ValueError("busy")
        return 1

    print(*["said"] * many, sep="\\n")
    for number in range(many):
        await ctx.step(lambda _: 1, f"{name}_{{number}}")
    await ctx.map(list(range(many)), lambda inner, item, index: inner.step(lambda _: 1, "pack"), "items")
    await ctx.step(fails_at_first, "charge")
    for number in range(many):
        await ctx.wait(timedelta(hours=1), f"cool_{{number}}")
    await (await ctx.create_callback("approval")).result()
'''
LINTED = """
import random
from durable_execution import durable_execution

@durable_execution
async def flow(event, ctx):
{body}    await ctx.step(lambda _: 1, "last")
"""
PLURALS = {
    "answer": "answers", "attempt": "attempts", "branch": "branches", "byte": "bytes", "call": "calls", "character": "characters",
    "day": "days", "difference": "differences", "error": "errors", "event": "events", "execution": "executions", "failure": "failures",
    "finding": "findings", "group": "groups", "hit": "hits", "hour": "hours", "invocation": "invocations", "item": "items",
    "line": "lines", "op": "ops", "operation": "operations", "perturbation": "perturbations", "place": "places", "recording": "recordings",
    "replay": "replays", "retry": "retries", "span": "spans", "state": "states", "step": "steps", "time": "times", "trace": "traces",
}  # fmt: skip
SINGULARS = {plural: one for one, plural in PLURALS.items()}
ORDINALS = "call|invocation|attempt|event|line|moment|position|round|inv|exit code|of"
COUNT = re.compile(
    rf"(?P<before>\b(?:{ORDINALS}) )?(?<![\w.:/#_-])(?P<number>\d[\d,]*) (?P<words>(?:[a-z-]+ ?){{1,3}})"
)


AFTER = {"and", "at", "by", "from", "in", "of", "to", "with"}
"""Words behind the noun."""


def miscounted(text: str) -> list[str]:
    """Numbers whose noun does not agree."""
    wrong = []
    for found in COUNT.finditer(text):
        if found["before"] and found["before"] != "of ":
            continue
        number = int(found["number"].replace(",", ""))
        words = takewhile(lambda one: one not in AFTER, found["words"].split())
        noun = next((one for one in reversed(list(words)) if one in PLURALS or one in SINGULARS), None)
        if noun is not None and (noun in PLURALS) != (number == 1):
            wrong.append(text[max(0, found.start() - 30) : found.end() + 20])
    return wrong


def test_the_check_itself() -> None:
    assert (
        miscounted("2 calls, 1 replay, 0 later differences, 1 of 2 recordings, 0 of 1 recording, call 1 calls step")
        == []
    )
    assert len(miscounted("1 calls, 2 replay, 0 later difference, 1 of 1 recordings, 1,200 span")) == 5


@dataclass
class Recorded:
    """A store with so many executions, each with so many calls, items, retries and waits."""

    many: int
    folder: Path
    store: str
    arns: list[str]
    today: str
    changed: str


@pytest.fixture(scope="module", params=[0, 1, 2])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    many: int = request.param
    folder = tmp_path_factory.mktemp("counts")
    for file, name, doc in (("today", "load", "As it ran."), ("changed", "fetch", "As it is.")):
        (folder / f"{file}_{many}.py").write_text(FLOW.format(name=name, doc=doc), encoding="utf-8")
    today, changed = f"{folder}/today_{many}.py:flow", f"{folder}/changed_{many}.py:flow"
    arns = []
    with LocalEngine(folder / "executions.db", time="skip", ids=CountingIds()) as engine:
        engine.register("flow", load_handler(today))
        for number in range(max(many, 1)):
            arns.append(engine.start("flow", {"many": many}, name=f"order-{number}"))
            engine.run_until_idle(skips="everything")
    return Recorded(many, folder, str(folder / "executions.db"), arns, today, changed)


SINGLE = (
    ("show", "{0}"),
    ("show", "{0}", "--timeline"),
    ("show", "{0}", "--events"),
    ("show", "{0}", "--trace"),
    ("show", "{0}", "--cost"),
    ("explain", "{0}"),
    ("explain", "{0}", "{changed}"),
    ("diff", "{0}", "{0}"),
    ("replay", "{0}", "{today}", "--headless"),
    ("replay", "{0}", "{changed}", "--headless"),
    ("export", "{0}", "--to", "html"),
    ("export", "{0}", "--to", "html", "--lines", "{changed}"),
    ("list",),
    ("list", "--status", "FAILED"),
    ("show", "order"),
    ("fleet", "{store}", "--headless"),
    ("fleet", "{store}", "{changed}", "--headless", "--jobs", "1"),
    ("fork", "{0}", "{today}", "--at", "charge"),
    *(
        ("check", "--store", "{store}", "--jobs", "1", "--no-cause", "{changed}", "--format", form)
        for form in sorted(FORMATS)
    ),
    ("check", "--store", "{store}", "--jobs", "1", "--no-cause", "{changed}", "--status", "FAILED"),
    ("check", "--store", "{store}", "--jobs", "1", "{today}", "--every-prefix"),
    (
        "check",
        "--store",
        "{store}",
        "--jobs",
        "1",
        "--no-cause",
        "{changed}",
        "--html",
        "{folder}/check.html",
        "--lines",
    ),
)


@pytest.mark.acceptance
@pytest.mark.parametrize("form", SINGLE, ids=" ".join)
def test_what_a_command_prints(recorded: Recorded, form: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        "today": recorded.today,
        "changed": recorded.changed,
        "store": recorded.store,
        "folder": str(recorded.folder),
    }
    words = [word.format(*recorded.arns, **given) for word in form]
    page = recorded.folder / "check.html"
    page.unlink(missing_ok=True)
    main([*words, *([] if "--store" in words else ["--store", recorded.store])])
    printed = capsys.readouterr()
    text = printed.out + printed.err + (page.read_text(encoding="utf-8") if page.exists() else "")
    assert re.search(r"\d", text), text
    assert "usage:" not in text
    assert miscounted(re.sub(r"<[^>]*>", " ", text)) == []


@pytest.mark.parametrize("file", ["today", "changed"])
def test_what_the_screens_show(recorded: Recorded, file: str) -> None:
    place = LocalExecutions(Path(recorded.store))
    loaded = find(recorded.arns[0], [place])
    place.close()
    report = Replayer(load_handler(getattr(recorded, file)), cause=False).replay(loaded.execution)
    for differences in (None, differences_of(report, loaded.execution)):
        session = Session(loaded.execution, as_of=loaded.as_of, differences=differences)
        for unfolds in (False, True):
            if unfolds:
                session.outline.unfold_all()
            session.hits = list(range(recorded.many))
            text = "\n".join(map(text_of, drawn(session, 200)))
            assert miscounted(text) == []


@pytest.mark.parametrize("many", [0, 1, 2])
def test_what_the_linter_prints(many: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "flow.py"
    file.write_text(LINTED.format(body="    random.random()\n" * many), encoding="utf-8")
    assert main(["lint", str(file)]) == bool(many)
    printed = capsys.readouterr().out
    assert f"{many or 'no'} finding" in printed
    assert miscounted(printed) == []
