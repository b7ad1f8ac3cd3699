"""The HTML page of executions and replays: in text, and in a real browser where Chromium is installed."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from durable_debugger.model.session import Session
from durable_debugger.views.page import html_page
from durable_execution import DurableContext, durable_execution
from durable_execution.history.reading import read_history
from durable_execution.testing import LocalRunner

SHOP = """\
from durable_execution import durable_execution

@durable_execution
async def process(order, ctx):
    await ctx.step(lambda step: {{"token": "sk_live_4242424242424242"}}, name="{name}")
    async def double(item, number):
        return await item.step(lambda step: number * 2, name="double")
    batch = await ctx.map(order["numbers"], double, name="numbers")
    return batch.get_results()
"""


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The page of an execution, and that of a replay that diverges."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page_shop.py").write_text(SHOP.format(name="charge"))
    store = ["--store", "store.db"]
    run = ["run", "page_shop.py:process", "--input", '{"numbers": [1, 2]}', "--name", "one", "--time", "skip", *store]
    assert main(run) == 0
    assert main(["export", "one", "--to", "html", "-o", "one.html", *store]) == 0
    assert main(["export", "one", "--to", "json", "-o", "report.json", *store]) == 0
    assert main(["export", "one", "--to", "bundle", "-o", "one.bundle", *store]) == 0
    (tmp_path / "changed_shop.py").write_text(SHOP.format(name="bill"))
    assert main(["check", "one", "changed_shop.py:process", "--html", "check.html", *store]) == 1
    return {"one": tmp_path / "one.html", "check": tmp_path / "check.html"}


def test_a_page_is_one_file_without_secrets(pages: dict[str, Path]) -> None:
    for page in pages.values():
        text = page.read_text(encoding="utf-8")
        assert "sk_live_4242424242424242" not in text
        assert "http://" not in text
        assert "https://" not in text
        assert "src=" not in text
    assert "Nondeterminism in" in pages["check"].read_text(encoding="utf-8")
    assert "0 of 1 recording replayed without a difference" in pages["check"].read_text(encoding="utf-8")


LEAKY = """\
from durable_execution import durable_execution

@durable_execution
async def process(order, ctx):
    await ctx.step(lambda step: 1, name="{name}")
    {ending}
"""
KEY = "sk_live_4242424242424242"


@pytest.mark.parametrize(
    ("name", "ending"), [(f"charge {KEY}", "return 1"), ("charge", f"raise ValueError('key {KEY} refused')")]
)
def test_names_and_errors_of_todays_code_are_redacted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, ending: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clean_shop.py").write_text(LEAKY.format(name="charge", ending="return 1"))
    (tmp_path / "leaky_shop.py").write_text(LEAKY.format(name=name, ending=ending))
    store = ["--store", "store.db"]
    assert main(["run", "clean_shop.py:process", "--name", "one", "--time", "skip", *store]) == 0
    capsys.readouterr()
    assert main(["check", "one", "leaky_shop.py:process", "--html", "check.html", *store]) != 0
    page = (tmp_path / "check.html").read_text(encoding="utf-8")
    assert KEY not in page
    assert "⊘" in page
    if "raise" in ending:
        assert KEY not in capsys.readouterr().out
    assert main(["check", "one", "leaky_shop.py:process", "--html", "all.html", "--show-secrets", *store]) != 0


def test_a_page_of_a_thousand_calls_is_below_a_megabyte() -> None:
    @durable_execution
    async def many(_: Any, ctx: DurableContext) -> None:
        for number in range(1000):
            await ctx.step(lambda step, number=number: {"number": number}, name=f"step {number}")  # type: ignore[misc, arg-type]

    with LocalRunner(many, now=datetime(2026, 1, 1, tzinfo=UTC)) as runner:
        history = runner.run().history
    session = Session(read_history(history), as_of=datetime(2026, 1, 2, tzinfo=UTC), title="many")
    assert len("\n".join(html_page(session)).encode()) < 1_000_000


@pytest.fixture
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("needs Chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield opened
        opened.close()


def open_page(browser: Any, file: Path, **options: Any) -> tuple[Any, list[str]]:
    page = browser.new_page(**options)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: requests.append(f"error: {error}"))
    page.goto(file.as_uri())
    return page, [url for url in requests if not url.startswith("file:")]


@pytest.mark.acceptance
@pytest.mark.interop
def test_the_scrubber_steps_by_call_with_mouse_and_keys(pages: dict[str, Path], browser: Any) -> None:
    page, others = open_page(browser, pages["one"])
    output = page.locator("output")
    assert output.inner_text().startswith("call 6 of 6")
    page.locator("input[type=range]").evaluate("range => { range.value = 0; range.dispatchEvent(new Event('input')) }")
    assert output.inner_text() == "call 0 of 6: before the first call"
    assert page.locator("li.future").count() == 6
    page.keyboard.press("n")
    assert output.inner_text() == "call 1 of 6: process/charge, SUCCEEDED"
    assert page.locator("li.now").get_attribute("data-name") == "process/charge"
    page.keyboard.press("v")
    assert page.locator("li.now details[open]").count() == 1
    page.get_by_label("Next call").click()
    assert output.inner_text().startswith("call 2 of 6: process/numbers")
    page.keyboard.press("Shift+N")
    assert page.locator("input[type=range]").get_attribute("aria-valuetext") == output.inner_text()
    assert output.inner_text().startswith("call 1 of 6")
    assert others == []


@pytest.mark.acceptance
@pytest.mark.interop
def test_a_divergence_is_shown_with_its_five_lines_in_both_schemes_and_on_a_phone(
    pages: dict[str, Path], browser: Any
) -> None:
    colors = set()
    for scheme in ("light", "dark"):
        page, others = open_page(browser, pages["check"], color_scheme=scheme, viewport={"width": 390, "height": 844})
        assert page.locator(".five dt").all_inner_texts() == ["recorded", "replayed", "likely", "effect", "fix"]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        colors.add(page.locator("h3").first.evaluate("node => getComputedStyle(node).color"))
        assert others == []
    assert len(colors) == 2


@pytest.mark.acceptance
@pytest.mark.interop
def test_a_page_without_scripts_shows_everything(pages: dict[str, Path], browser: Any) -> None:
    page, _ = open_page(browser, pages["one"], java_script_enabled=False)
    assert page.locator("li[data-at]").count() == 6
    assert page.locator(".scrubber").is_hidden()
    assert json.loads((pages["one"].parent / "report.json").read_text())["status"] == "SUCCEEDED"


def test_a_page_with_lines_has_the_source_and_the_local_variables(pages: dict[str, Path]) -> None:
    folder = pages["one"].parent
    command = ["export", "one", "--to", "html", "--lines", "page_shop.py:process", "-o", "lines.html"]
    assert main([*command, "--store", "store.db"]) == 0
    text = (folder / "lines.html").read_text(encoding="utf-8")
    assert 'data-line="5"' in text
    document = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', text)[0])
    places = [document["texts"][place] for _, _, place, _ in document["stops"]]
    assert places[0] == "page_shop.py:5 in process"
    assert any("in process.<locals>.double" in place for place in places)
    assert any("order = {'numbers': [1, 2]}" in document["texts"][values] for *_, values in document["stops"])
    assert "sk_live_4242424242424242" not in text
    assert "https://" not in text


def test_a_check_has_the_lines_of_recordings_that_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old_shop.py").write_text(LEAKY.format(name="charge", ending="return 1"))
    changed = LEAKY.format(name="pay", ending="return 1").replace("    await", f"    key = '{KEY}'\n    await")
    (tmp_path / "new_shop.py").write_text(changed)
    assert main(["run", "old_shop.py:process", "--name", "one", "--time", "skip", "--store", "store.db"]) == 0
    command = ["check", "one", "new_shop.py:process", "--html", "check.html", "--store", "store.db"]
    assert main(command) == 1
    assert 'class="lines"' not in (tmp_path / "check.html").read_text(encoding="utf-8")
    assert main([*command, "--lines"]) == 1
    text = (tmp_path / "check.html").read_text(encoding="utf-8")
    document = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', text)[0])
    assert document["texts"][0] == "new_shop.py:5 in process"
    assert KEY not in text
    assert main([*command[:3], "--lines", "--store", "store.db"]) == 2
    assert "--lines needs --html" in capsys.readouterr().err


def test_lines_of_a_handler_that_does_not_exist_are_an_error(
    pages: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "export",
        "one",
        "--to",
        "html",
        "--lines",
        "page_shop.py:gone",
        "-o",
        "lines.html",
        "--store",
        "store.db",
    ]
    assert main(command) not in (0, 1)
    assert "gone" in capsys.readouterr().err
    assert pages["one"].exists()


@pytest.mark.acceptance
@pytest.mark.interop
def test_the_second_scrubber_steps_by_line(pages: dict[str, Path], browser: Any) -> None:
    folder = pages["one"].parent
    command = ["export", "one", "--to", "html", "--lines", "page_shop.py:process", "-o", "lines.html"]
    assert main([*command, "--store", "store.db"]) == 0
    page, others = open_page(browser, folder / "lines.html")
    lines = page.locator(".lines")
    output = lines.locator("output")
    assert output.inner_text().startswith("line 1 of ")
    assert output.inner_text().endswith("page_shop.py:5 in process")
    assert "sk_live" not in lines.locator("mark").inner_text()
    first = lines.locator("mark").inner_text()
    page.keyboard.press("l")
    assert output.inner_text().startswith("line 2 of ")
    assert lines.locator("mark").inner_text() != first
    lines.get_by_label("Previous line").click()
    assert lines.locator("mark").inner_text() == first
    assert "numbers" in lines.locator(".locals").inner_text()
    assert others == []
