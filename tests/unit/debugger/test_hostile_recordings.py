"""Recordings that hold anything: nothing of it controls the terminal, breaks the encoding of stdout or makes JSON invalid."""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from tests.tui.recordings import order_recording

EVIL = "a\x1b[31m\x9b2J\x07\u202ebad\ud800 é✓"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")
KEPT = ("EventType", "EventTimestamp", "Id", "ParentId", "SubType", "EventId", "RequestId")
HANDLER = f"""
from durable_execution import durable_execution
EVIL = {EVIL!r}
@durable_execution
async def h(event, ctx):
    await ctx.step(lambda _: 1, name=EVIL)
    raise ValueError(EVIL)
"""


def hostile(value: Any) -> Any:
    """The value with every text in it replaced, except what makes it a history."""
    if isinstance(value, dict):
        return {key: each if key in KEPT or "Timestamp" in key else hostile(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [hostile(each) for each in value]
    return EVIL if isinstance(value, str) else value


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    events = json.loads(json.dumps(order_recording().events, default=str))
    (tmp_path / "good.json").write_text(json.dumps(events))
    strange = [{**event, "Id": EVIL, "EventType": EVIL, "EventTimestamp": EVIL} for event in events[:2]]
    (tmp_path / "evil.json").write_text(json.dumps({"Events": [*strange, *hostile(events)]}))
    (tmp_path / "h.py").write_text(HANDLER)
    return tmp_path


SHOWN = [
    "show evil.json",
    "show evil.json --timeline",
    "show evil.json --events",
    "show evil.json --trace",
    "show evil.json --json",
    "explain evil.json",
    "explain evil.json --json",
    "diff evil.json good.json",
    "diff evil.json good.json --json",
    "check evil.json h.py:h",
    "check evil.json h.py:h --json",
    "check evil.json h.py:h --format sarif",
    "check evil.json h.py:h --format junit",
    "check evil.json h.py:h --format github",
    "replay evil.json h.py:h",
    "replay evil.json h.py:h --json",
    "export evil.json --to otlp",
    "export evil.json --to json",
    "export evil.json --to html",
    "export evil.json --to perfetto",
    "export evil.json --to bundle",
]


def run(words: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Run a command with streams of an encoding, which fail as a terminal's do."""
    written = [io.BytesIO(), io.BytesIO()]
    streams = [io.TextIOWrapper(one, encoding=encoding, write_through=True) for one in written]
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", streams[0])
        patched.setattr(sys, "stderr", streams[1])
        try:
            code = main([*words.split(), *(["--no-cause"] if "h.py:" in words else [])])
        except SystemExit as end:  # the help
            code = int(end.code or 0)
    out, err = (one.getvalue().decode(encoding) for one in written)
    return code, out, err


@pytest.mark.acceptance
@pytest.mark.parametrize("words", SHOWN)
def test_a_hostile_recording_is_shown_escaped(here: Path, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run(words, "utf-8", monkeypatch)
    assert not CONTROL.search(out + err)
    assert out
    if words.endswith((" json", "--json", "sarif", "otlp", "perfetto", "bundle")):
        told = json.loads(out)
        assert "--json" not in words or told["exit_code"] == code


WITH_ASCII = [(words, "ascii") for words in [*SHOWN, "--help", "check --help", "lint h.py", "list", "nothing-é"]]
WITH_LATIN = [(words, "latin-1") for words in ("show evil.json", "show evil.json --json", "check --help")]


@pytest.mark.acceptance
@pytest.mark.parametrize(("words", "encoding"), WITH_ASCII + WITH_LATIN)
def test_a_terminal_without_unicode_gets_ascii(
    here: Path, words: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, err = run(words, encoding, monkeypatch)
    assert out + err
    assert (out + err).isascii()
    if "--json" in words:
        json.loads(out)


@pytest.mark.parametrize(("name", "value"), [("LC_ALL", "C"), ("LANG", "POSIX")])
def test_a_c_locale_gets_ascii(here: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONIOENCODING", "PYTHONUTF8"):
        monkeypatch.delenv(each, raising=False)
    assert not run("show good.json", "utf-8", monkeypatch)[1].isascii()
    monkeypatch.setenv(name, value)
    assert run("show good.json", "utf-8", monkeypatch)[1].isascii()
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    assert not run("show good.json", "utf-8", monkeypatch)[1].isascii()
