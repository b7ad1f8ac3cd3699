"""What is committed speaks of the project alone."""

import subprocess

import pytest

from tests.architecture.source_tree import REPOSITORY as ROOT
from tests.mutants.survivors import known, stale

TOP_LEVEL_FOLDERS = {".ci", ".github", "debugger", "docs", "examples", "src", "tests"}


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The path of every committed file, from the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    return [name for name in listed.stdout.split("\0") if name]


def test_no_tracked_file_names_the_place_of_a_checkout(tracked: list[str]) -> None:
    place = str(ROOT).encode()
    found = [name for name in tracked if (ROOT / name).is_file() and place in (ROOT / name).read_bytes()]
    assert not found, "recorded with absolute paths: " + ", ".join(found)


def test_nothing_is_committed_outside_the_known_folders(tracked: list[str]) -> None:
    """A script's output that landed in a folder of its own is easily committed with `git add --all`."""
    assert {name.split("/")[0] for name in tracked if "/" in name} == TOP_LEVEL_FOLDERS


def test_the_lines_of_known_survivors_are_in_the_code() -> None:
    assert stale(known(), ROOT) == []
    module, line, *_ = known()[0].split(" | ")
    gone = [f"{module} | {line}, once | | changed", f"{module}.removed | {line} | | moved"]
    assert stale([known()[0], *gone], ROOT) == gone
