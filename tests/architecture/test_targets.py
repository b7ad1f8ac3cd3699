"""`make test` and `make check` together run every test: none is in neither, and none is in both."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ACCEPTANCE_FOLDERS, REPOSITORY, TESTS

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def commands(target: str, *variables: str) -> list[list[str]]:
    """The calls of pytest that a target makes."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--dry-run", target, "READY_TO_WORK=/dev/null", *variables],
        cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [shlex.split(one) for one in re.findall(r"^\S+/python -m pytest (-n .*)$", done.stdout, re.MULTILINE)]


def test_one_of_the_two_runs_what_the_other_leaves_out() -> None:
    common = ["-n", "auto", "--dist", "worksteal", "-q", "-m"]
    assert commands("test") == [[*common, "not acceptance"]]
    assert commands("check") == commands("acceptance") == [[*common, "acceptance"]]


def test_what_is_named_runs_whatever_its_mark() -> None:
    (arguments,) = commands("test", "TESTS=tests/typing")
    assert "-m" not in arguments
    assert arguments[-1] == "tests/typing"


MAKE = """#!/bin/sh
for target; do :; done
case $target in
    test) echo "3 passed in 1.00s"; exit "$TEST_CODE" ;;
    check) echo "not formatted"; echo "2 passed in 1.00s"; echo "make: *** [check] Error"; exit "$CHECK_CODE" ;;
esac
"""


@pytest.mark.parametrize(("of_test", "of_check", "code"), [(0, 0, 0), (2, 0, 2), (0, 3, 3), (2, 3, 2)])
def test_ci_runs_both_and_ends_with_the_summaries(of_test: int, of_check: int, code: int, tmp_path: Path) -> None:
    for name, text in (("make", MAKE), ("tmux", "#!/bin/sh\n"), ("apt-get", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    environ = {**os.environ, "PATH": path, "TEST_CODE": str(of_test), "CHECK_CODE": str(of_check)}
    done = subprocess.run(["bash", REPOSITORY / ".ci/run"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-2:] == ["2 passed in 1.00s", "3 passed in 1.00s"]


def test_nothing_is_left_out_by_the_configuration(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getini("testpaths") == ["tests"]
    assert pytestconfig.getini("addopts") == ["-ra", "--import-mode=importlib"]


def test_folders_of_acceptance_tests_exist_and_are_explained() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (rule,) = re.findall(r"^A test is an \*acceptance test\*.*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert {Path(place).name for place in re.findall(r"`tests/(\w+)`", rule)} == ACCEPTANCE_FOLDERS
    assert all((TESTS / name).is_dir() for name in ACCEPTANCE_FOLDERS)


def test_the_mark_of_a_folder_is_there_when_marks_select() -> None:
    folders = ["tests/campaigns", "tests/architecture/test_targets.py"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", "acceptance"]
    done = subprocess.run([*command, *folders], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    places = {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line}
    assert places == {"tests/campaigns/test_campaigns.py"}
    assert "deselected" in done.stdout
