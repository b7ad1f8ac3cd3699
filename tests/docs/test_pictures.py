"""The pictures of the documentation can be made again, and show what the debugger shows today."""

import html
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent
IMAGES = ROOT / "docs" / "images"
NAMES = (
    "debugger.svg",
    "debugger-timeline.svg",
    "debugger-divergence.svg",
    "debugger-step.svg",
    "debugger-loop.svg",
    "pycharm-attach.svg",
)

# The script shows the moment in which a replay has not ended yet: a fork of a warm interpreter is too quick for it.
pytestmark = [pytest.mark.acceptance, pytest.mark.real_time, pytest.mark.new_interpreter]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures, made now."""
    directory = tmp_path_factory.mktemp("pictures")
    script("pictures").make(directory)
    return directory


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def words(text: str) -> set[str]:
    """The words on a picture; numbers, times and places of scroll bars change from run to run."""
    shown = html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL))
    return {word for word in re.findall(r"[A-Za-z_]{3,}", shown) if word != "Rich"}


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_shows_what_the_debugger_shows_today(name: str, made: Path) -> None:
    committed, fresh = words((IMAGES / name).read_text("utf-8")), words((made / name).read_text("utf-8"))
    assert fresh - committed == set(), "run python docs/pictures.py"
    assert committed - fresh == set(), "run python docs/pictures.py"


def test_the_recording_plays_the_loop(made: Path) -> None:
    header, *events = (made / "debugger.cast").read_text("utf-8").splitlines()
    assert json.loads(header)["version"] == 2
    screens = [json.loads(event)[2] for event in events]
    text = ["".join(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", screen).split()) for screen in screens]
    order = [
        "Succeeded",
        "vi order_workflow.py",
        "Diverged at call 3",
        'if ctx.patched("check-fraud"):',
        "Same: your code makes",
    ]
    at = [next(n for n, shown in enumerate(text) if "".join(word.split()) in shown) for word in order]
    assert at == sorted(at)


def test_every_picture_is_used() -> None:
    pages = "".join(page.read_text("utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    assert [name for name in (*NAMES, "debugger.cast") if name not in pages] == []
