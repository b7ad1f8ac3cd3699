"""`durable-debug mcp` with the official client: a real session over stdio."""

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from durable_debugger.cli.mcp_server import hidden
from durable_debugger.text.payloads import MAX_CHARACTERS, bounded

mcp = pytest.importorskip("mcp")
pytestmark = [pytest.mark.interop, pytest.mark.real_time, pytest.mark.filterwarnings("ignore")]

SHOP = """
from durable_execution import durable_execution, StepConfig
from durable_execution.retry import RetryPresets

@durable_execution
async def order(event, ctx):
    await ctx.step(lambda _: {"password": "hunter2-secret", "note": "x" * 200_000}, "load")
    if event.get("fails"):
        await ctx.step(charge, "charge", config=StepConfig(retry_strategy=RetryPresets.none()))
    await (await ctx.create_callback("approval")).result()

async def charge(step):
    raise ValueError("card declined, password=hunter2-secret")
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from durable_execution.local import LocalEngine
    from durable_execution.replay.loading import load_handler

    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "changed.py").write_text(SHOP.replace('"load"', '"fetch"'))
    (tmp_path / "bad.py").write_text(
        "import random\nfrom durable_execution import durable_execution\n\n\n@durable_execution\nasync def flow(event, ctx):\n"
        "    if random.random() > 0.5:\n        await ctx.step(lambda _: 1, 'a')\n"
    )
    with LocalEngine(tmp_path / "store.db", time="skip", trace_sink=False) as engine:
        engine.register("order", load_handler(f"{tmp_path / 'shop.py'}:order"))
        engine.start("order", {}, name="waits")
        engine.start("order", {"fails": True}, name="fails")
        engine.run_until_idle()
    return tmp_path


def session(directory: Path, script: Callable[[Any], Awaitable[None]]) -> None:
    server = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "durable_debugger", "mcp", "--store", str(directory / "store.db")],
        cwd=str(directory),
    )

    async def go() -> None:
        async with mcp.Client(server) as client:
            await script(client)

    asyncio.run(asyncio.wait_for(go(), 50))


async def call(client: Any, name: str, **arguments: Any) -> Any:
    answer = await client.call_tool(name, arguments)
    assert not answer.is_error, answer.content
    text = answer.content[0].text
    assert len(text) <= MAX_CHARACTERS
    return json.loads(text)


def test_a_client_lists_explains_and_replays(shop: Path) -> None:
    async def script(client: Any) -> None:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {"list_executions", "show", "explain", "replay", "diff", "lint"}
        assert all(tool.annotations.read_only_hint for tool in tools)
        listed = await call(client, "list_executions")
        assert {one["name"] for one in listed["executions"]} == {"waits", "fails"}
        waits = await call(client, "explain", execution="waits")
        assert waits["state"] == "waiting_for_callback"
        fails = await call(client, "explain", execution="fails")
        assert fails["state"] == "failed"
        assert "hunter2" not in json.dumps(fails)
        shown = await call(client, "show", execution="waits")
        assert "hunter2" not in json.dumps(shown)
        assert "more characters" in json.dumps(shown), "a long payload is cut"
        same = await call(client, "replay", execution="waits", handler="shop.py:order")
        assert same["verdict"] == "same"
        changed = await call(client, "replay", execution="waits", handler="changed.py:order")
        assert changed["verdict"] == "diverged"
        compared = await call(client, "diff", first="waits", second="fails")
        assert compared["roots"] >= 1
        assert "random" in json.dumps(await call(client, "lint", path="bad.py"))

    session(shop, script)


def test_the_page_configures_a_server_with_the_tools_of_its_table(shop: Path, repository: Path) -> None:
    page = (repository / "docs" / "assistants.md").read_text()
    configured = json.loads(page.split("```json")[1].split("```")[0])["mcpServers"]["durable-debug"]
    assert configured["command"] == "durable-debug"
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))
    server = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "durable_debugger", *configured["args"]], cwd=str(shop)
    )

    async def go() -> None:
        async with mcp.Client(server) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == set(listed)

    asyncio.run(asyncio.wait_for(go(), 50))


def test_errors_are_answers_and_nothing_can_be_smuggled_in(shop: Path) -> None:
    async def script(client: Any) -> None:
        for name, arguments, said in (
            ("show", {"execution": "nothing"}, "no execution found"),
            ("show", {"execution": "--show-secrets"}, "is not a name"),
            ("show", {"execution": "-"}, "is not a name"),
            ("replay", {"execution": "waits", "handler": "none.py:order"}, "none.py"),
            ("list_executions", {"status": "--json"}, "is not a name"),
        ):
            answer = await client.call_tool(name, arguments)
            assert answer.is_error, name
            assert said in answer.content[0].text
        assert (await call(client, "list_executions", limit=1))["executions"]

    before = (shop / "store.db").read_bytes()
    session(shop, script)
    assert (shop / "store.db").read_bytes() == before, "a read-only server"


def test_answers_are_valid_json_of_a_limited_size() -> None:
    long = {"operations": [{"result": "y" * 5_000, "n": number} for number in range(3_000)]}
    text = bounded(long)
    assert len(text) <= MAX_CHARACTERS
    assert json.loads(text)["operations"][-1].startswith("… (")
    assert json.loads(bounded({"a": 1})) == {"a": 1}
    wide = {f"key-{number}": "z" * 100 for number in range(10_000)}
    assert json.loads(bounded(wide))["truncated"]


def test_secrets_are_hidden_by_the_names_of_members_too() -> None:
    found = hidden(
        {"result": {"password": "hunter2-secret", "rows": [{"api_key": "k-123"}]}, "error": "password=hunter2-secret"}
    )
    assert "hunter2-secret" not in str(found)
    assert "k-123" not in str(found)


def test_without_the_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    assert main(["mcp"]) == 3
    assert "pip install 'durable-execution-sdk[mcp]'" in capsys.readouterr().err
