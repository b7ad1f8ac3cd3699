"""The check of the project's words finds what it is meant to find, and keeps quiet about plain English."""

from pathlib import Path

import pytest

import prose  # pyright: ignore[reportMissingImports]  # beside the documentation


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    return tmp_path / "page.md"


@pytest.mark.parametrize(
    "text",
    [
        "Observers are told of it.",
        "Mend the handler.",
        "3 other worlds in which it differs",
        "This server asks nobody for a password.",
        "It is no durable operation.",
        "Replays 2 call(s).",
        "Please retry.",
    ],
)
def test_a_phrase_of_the_dialect_is_found(page: Path, text: str) -> None:
    page.write_text(f"# Title\n\n{text}\n")
    assert [finding.line for finding in prose.check(page)][:1] == [3]


@pytest.mark.parametrize(
    "text",
    [
        "There is no file, so the value is None when there is none.",
        "A retry and a new call are told apart.",
        "The interval is no longer than a second.",
        "`nobody` is a user name, and `f(s)` a call.",
    ],
)
def test_plain_english_passes(page: Path, text: str) -> None:
    page.write_text(text)
    assert list(prose.check(page)) == []


def test_docstrings_comments_and_messages_are_read(page: Path) -> None:
    source = page.with_name("module.py")
    source.write_text('"""Is told of nothing."""\n\nx = 1  # mend this\nraise ValueError("a passing world ended")\n')
    assert [finding.line for finding in prose.check(source)] == [3, 1, 4]


def test_every_exception_still_stands_in_its_file() -> None:
    for file, kept in prose.ALLOWED.items():
        text = (prose.ROOT / file).read_text(encoding="utf-8")
        assert all(phrase == "*" or phrase in text for phrase in kept), file
