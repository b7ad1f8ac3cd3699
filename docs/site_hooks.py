"""What the documentation site does in addition to MkDocs: links to files of the repository, and folders in the navigation."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?P<before>\]\()(?P<target>(?:\.\./)+[^)\s#]+)(?P<fragment>#[^)\s]*)?\)")
ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
CODE_IN_ROW = re.compile(r"(?P<ticks>`+).+?(?P=ticks)")
FENCE = re.compile(r"^(?P<fence> *```\w+) (?P<words>[a-z ]+)$", re.MULTILINE)
TITLES = {"wrong": ' title="Wrong"', "right": ' title="Right"'}


def source_address() -> str:
    """Address of the repository's files, from the metadata of the package."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        return f"{tomllib.load(file)['project']['urls']['Source']}/blob/main"


def on_config(config: Any) -> Any:
    """Replace a folder in the navigation by its pages."""
    config["nav"] = [_expanded(entry, Path(config["docs_dir"])) for entry in config["nav"]]
    return config


def _expanded(entry: Any, docs: Path) -> Any:
    if not isinstance(entry, dict):
        return entry
    [(title, content)] = entry.items()
    if isinstance(content, str) and content.endswith("/"):
        pages = sorted((docs / content).glob("*.md"), key=lambda page: (page.stem != "index", page.stem))
        return {title: [f"{content}{page.name}" for page in pages]}
    return entry


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links that leave the documentation at the repository, and turn the words after a fence into titles.

    In code in a table, GitHub needs a backslash before a bar, and the site shows it.
    """
    folder = Path(page.file.abs_src_path).parent

    def moved(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / match["target"]))
        if target.is_relative_to(REPOSITORY / "docs") or not target.is_relative_to(REPOSITORY):
            return match[0]
        return (
            f"{match['before']}{source_address()}/{target.relative_to(REPOSITORY).as_posix()}{match['fragment'] or ''})"
        )

    with_titles = FENCE.sub(lambda match: match["fence"] + TITLES.get(match["words"], ""), markdown)
    return ROW.sub(_without_escaped_bars, LINK.sub(moved, with_titles))


def _without_escaped_bars(row: re.Match[str]) -> str:
    return CODE_IN_ROW.sub(lambda code: code[0].replace("\\|", "|"), row[0])
