"""`durable-debug fork`: exit codes, what is printed, and that nothing outside steps has an effect."""

import json
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from durable_execution.local import LocalEngine

SHOP = """
import asyncio
import os
import pathlib
from datetime import timedelta
from durable_execution import durable_execution

charge_file = pathlib.Path("charged")

async def score(step):
    return 12

async def charge(step):
    pathlib.Path("charged").write_text("yes")
    return "p-1"

@durable_execution
async def order(event, ctx):
    found = await ctx.step(score, "score")
    await ctx.wait(timedelta(hours=1), "cool_off")
    if found > 80:
        return await ctx.step(charge, "charge_twice")
    return await ctx.step(charge, "charge")

@durable_execution
async def leaks(event, ctx):
    found = await ctx.step(score, "score")
    await ctx.wait(timedelta(hours=1), "cool_off")
    if found > 80:
        pathlib.Path("leaked").write_text("yes")
    return await ctx.step(charge, "charge")

def charge_in_a_thread(step):
    print("key", os.environ.get("AWS_ACCESS_KEY_ID"))
    return charge_file.write_text("yes")

@durable_execution
async def leaks_beside(event, ctx):
    found = await ctx.step(score, "score")
    await ctx.wait(timedelta(hours=1), "cool_off")

    async def look():
        print("outside", os.environ.get("AWS_ACCESS_KEY_ID"), "AWS_ACCESS_KEY_ID" in dict(os.environ))
        try:
            pathlib.Path("leaked").write_text("yes")
        except OSError:
            return "refused"

    paid, seen = await asyncio.gather(ctx.step(charge_in_a_thread, "charge_now"), look())
    return seen

@durable_execution
async def renamed(event, ctx):
    return await ctx.step(score, "points")
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "shop.py").write_text(SHOP)
    assert main(["run", "shop.py:order", "--time", "skip", "--name", "o1"]) == 0
    capsys.readouterr()
    (tmp_path / "charged").unlink()
    return "o1"


def fork(*more: str, handler: str = "order") -> int:
    return main(["fork", "o1", f"shop.py:{handler}", *more])


def report(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_an_unedited_fork_has_no_difference_and_no_effect(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fork("--at", "score", "--json") == 0
    found = report(capsys)
    assert (found["status"], found["result"], found["first_difference"]) == ("SUCCEEDED", '"p-1"', None)
    assert found["forked_from"]["call"] == "order/score"
    assert not Path("charged").exists()


def test_a_fork_asks_and_is_continued_with_the_answer(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fork("--at", "score", "--result", "99") == 0
    printed = capsys.readouterr()
    identifier = printed.out.strip()
    assert "waits for an outcome of: charge_twice" in printed.err
    assert f"durable-debug fork {identifier} shop.py:order --answer 'charge_twice=JSON'" in printed.err
    assert main(["fork", identifier, "shop.py:order", "--answer", 'charge_twice="p-2"', "--json"]) == 0
    assert report(capsys)["result"] == '"p-2"'
    assert not Path("charged").exists()
    assert main(["list"]) == 0
    assert "fork of o1 at score" in capsys.readouterr().out
    assert main(["show", identifier, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["forked_from"]["call"] == "order/score"
    assert "at order/score, which ended differently there" in shown["notes"][0]
    assert main(["diff", "o1", identifier, "--json"]) == 1
    differences = report(capsys)["divergences"]
    assert (differences[0]["kind"], differences[0]["path"]) == ("result", "order/score")


def test_a_live_step_runs_for_real(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fork("--at", "score", "--result", "99", "--live", "charge_twice", "--json") == 0
    assert report(capsys)["status"] == "SUCCEEDED"
    assert Path("charged").exists()


def test_an_error_is_raised_in_place_of_the_result(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fork("--at", "charge", "--error", "CardDeclined:no funds", "--json") == 4
    found = report(capsys)
    assert (found["status"], found["error"]["ErrorMessage"]) == ("FAILED", "no funds")


def test_code_outside_steps_has_no_effect(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fork("--at", "score", "--result", "99", "--json", handler="leaks") == 4
    found = report(capsys)
    assert "writing leaked" in found["blocked"][0]
    assert not Path("leaked").exists()


def test_a_live_body_acts_and_the_code_around_it_does_not(
    shop: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA17")
    assert fork("--at", "score", "--live", "charge_now", handler="leaks_beside") == 0
    printed = capsys.readouterr()
    assert "outside None False" in printed.out
    assert "key AKIA17" in printed.out
    assert '"refused"' in printed.err
    assert "blocked: writing leaked" in printed.err
    assert Path("charged").exists()
    assert not Path("leaked").exists()
    assert fork("--at", "score", "--result", "99", "--live", "charge", handler="leaks") == 4
    assert not Path("leaked").exists()


def test_continuing_a_fork_leaves_other_executions_alone(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    import shop as module  # type: ignore[import-not-found]

    (store,) = Path(".durable").glob("*.db")
    with LocalEngine(store, time="skip") as engine:
        engine.register("order", module.order)
        other = engine.start("order", {}, name="o2")
        engine.run_until_idle(skips="nothing")
    assert fork("--at", "score", "--result", "99") == 0
    identifier = capsys.readouterr().out.strip()
    assert main(["fork", identifier, "shop.py:order", "--answer", 'charge_twice="p-2"']) == 0
    printed = capsys.readouterr()
    assert "blocked" not in printed.err
    origin = next(line for line in printed.err.splitlines() if line.startswith("forked from")).split()[2]
    assert f"compare: durable-debug diff {origin} {identifier}" in printed.err
    assert origin != identifier
    with LocalEngine(store, time="skip") as engine:
        assert engine.client.get_durable_execution(DurableExecutionArn=other)["Status"] == "RUNNING"


def test_a_handler_that_leaves_the_recording_is_refused(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fork("--at", "charge", handler="renamed") == 1
    assert "leaves the recording before order/charge ends" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "name the call to fork at"),
        (("--at", "scores"), "The nearest are score"),
        (("--at", "cool_off", "--result", "1"), "is a wait"),
        (("--at", "score", "--result", "{"), "--result is not JSON"),
        (("--at", "score", "--answer", "x"), "expected NAME=JSON"),
    ],
)
def test_what_cannot_be_forked_is_said(
    shop: str, more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fork(*more) == 2
    assert said in capsys.readouterr().err


def test_a_history_file_is_forked_into_the_store(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    from durable_debugger.sources.local import LocalExecutions

    local = LocalExecutions()
    (listed,) = local.executions()
    events = local.load(listed.arn).execution.events
    local.close()
    Path("o.json").write_text(json.dumps({"DurableExecutionArn": listed.arn, "Events": events}, default=str))
    assert main(["fork", "o.json", "shop.py:order", "--at", "score", "--store", "forks.db", "--json"]) == 0
    found = report(capsys)
    assert (found["status"], found["forked_from"]["arn"]) == ("SUCCEEDED", listed.arn)
