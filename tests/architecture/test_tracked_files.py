"""What is committed speaks of the project alone."""

import subprocess

import pytest

from tests.architecture.source_tree import REPOSITORY as ROOT


def test_no_tracked_file_names_the_place_of_a_checkout() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    place = str(ROOT).encode()
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    found = [str(file.relative_to(ROOT)) for file in files if file.is_file() and place in file.read_bytes()]
    assert not found, "recorded with absolute paths: " + ", ".join(found)
