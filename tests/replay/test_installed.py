"""The recipe for CI: `pip install .`, then `check`. An installed handler is isolated like one in the working directory."""

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli.entry import main
from durable_execution.replay import Replayer, load_handler
from durable_execution.replay.report import Verdict
from tests.replay.recording import history_of
from tests.replay.workflows import plain

HANDLER = """
from datetime import timedelta
from durable_execution import durable_execution
from {package}.side import act

async def body(step):
    return 1

@durable_execution
async def flow(event, ctx):
    await ctx.step(body, name="a")
    act()
    await ctx.wait(timedelta(seconds=5), name="w")
    await ctx.step(body, name="b")
    return "done"
"""
ACTS = {
    "writes": "from pathlib import Path\n\ndef act():\n    Path({place!r}).write_text('x')\n",
    "helped": "from {package}_helper import write\n\ndef act():\n    write({place!r})\n",
    "reads_clock": "import time\n\ndef act():\n    time.time()\n",
}
HELPER = "def write(place):\n    with open(place, 'w') as file:\n        file.write('x')\n"

pytestmark = [pytest.mark.acceptance, pytest.mark.new_interpreter]
Install = Callable[[str], str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package as pip does with a wheel: its files go below `site-packages`."""
    packages = tmp_path / "lib" / "site-packages"
    monkeypatch.syspath_prepend(str(packages))

    def run(act: str) -> str:
        package = f"rh_installed_{act}"
        wheel = tmp_path / f"{package}-1.0-py3-none-any.whl"
        source = ACTS[act].format(place=str(tmp_path / "written"), package=package)
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{package}/__init__.py", "")
            archive.writestr(f"{package}/workflows.py", HANDLER.format(package=package))
            archive.writestr(f"{package}/side.py", source)
            archive.writestr(f"{package}_helper/__init__.py", HELPER)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)
        return f"{package}.workflows:flow"

    return run


@pytest.fixture
def history(tmp_path: Path) -> str:
    events, arn = history_of(plain)
    path = tmp_path / "order.history.json"
    path.write_text(json.dumps({"DurableExecutionArn": arn, "Events": events}, default=str), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("act", ["writes", "helped"])
def test_check_refuses_the_effects_of_an_installed_package(
    install: Install, history: str, act: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", history, install(act)]) == 1
    printed = capsys.readouterr().out
    assert "SIDE EFFECTS" in printed
    assert "writing " in printed
    assert f"{tmp_path}/written"[-60:] in printed  # a long path is shown from its end
    assert not (tmp_path / "written").exists()
    if sys.platform.startswith("linux"):
        assert printed.startswith("isolation: audit hook")


AT_IMPORT = {
    "def": "def write():\n    open({place!r}, 'w').close()\n\nwrite()\n",
    "dataclass": (
        "import dataclasses\n\n@dataclasses.dataclass\nclass Log:\n    file: object = dataclasses.field("
        "default_factory=lambda: open({place!r}, 'w'))\n\nLog()\n"
    ),
    "exec": "\n\n\n\n\nexec({call!r})\n",
    "exec_elsewhere": "\n\n\n\n\nexec({call!r}, {{}})\n",
}
LINES = {"def": 2, "dataclass": 5, "exec": 6, "exec_elsewhere": 6}


@pytest.mark.parametrize("kind", AT_IMPORT)
def test_an_effect_at_import_is_listed_at_a_line_of_a_file(
    install: Install, history: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "written")
    with_effect = AT_IMPORT[kind].format(place=place, call=f"open({place!r}, 'w').close()")
    reference = install("reads_clock")
    side = tmp_path / "lib" / "site-packages" / "rh_installed_reads_clock" / "side.py"
    side.write_text(f"{with_effect}\ndef act():\n    pass\n", encoding="utf-8")
    assert main(["check", history, reference]) == 0
    printed = capsys.readouterr().out
    assert f"  import       side.py:{LINES[kind]}: writing " in printed


def test_an_installed_package_without_effects_is_the_same(
    install: Install, history: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", history, install("reads_clock"), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert [suspect["what"] for suspect in report["suspects"]] == ["time.time()"]


def test_a_replay_in_this_process_refuses_them_too(install: Install, history: str, tmp_path: Path) -> None:
    report: Any = Replayer(load_handler(install("writes"))).replay(
        json.loads(Path(history).read_text(encoding="utf-8"))
    )
    assert report.verdict is Verdict.EFFECTS
    assert not (tmp_path / "written").exists()
