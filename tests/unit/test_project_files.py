"""The files that others rely on: the action, the workflows, the release notes, the templates, the site's check."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from durable_execution.testing import LocalRunner

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"
PINNED = re.compile(r"^(?:\./|[\w.-]+/[\w./-]+@[0-9a-f]{40}$)")


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"project_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "file", [ACTION, *WORKFLOWS, *(ROOT / "examples" / "ci").glob("*github-actions.yml")], ids=lambda file: file.name
)
def test_actions_are_pinned_by_commit_and_say_their_version(file: Path) -> None:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if re.match(r"\s*(?:- )?uses:", line)]
    assert lines
    for line in lines:
        uses, _, comment = line.partition("uses:")[2].strip().partition(" # ")
        assert PINNED.match(uses), line
        assert re.fullmatch(r"v\d+\.\d+\.\d+", comment), line


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_has_least_permissions_and_a_time_limit(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job or "needs" in job for job in workflow["jobs"].values())


def test_every_command_of_the_workflows_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for file in WORKFLOWS:
        for target in re.findall(r"run: make ([\w-]+)", file.read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


SHOP = """\
from durable_execution import durable_execution

@durable_execution
async def process(order, ctx):
    return await ctx.step(lambda step: 1, name="{name}")
"""


def check(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        "PATH": path,
        "SOURCE": "shop.py",
        "HISTORIES": "histories",
        "HANDLER": "shop.py:process",
        **variables,
    }
    command = ["bash", str(ROOT / "examples" / "ci" / "check.sh")]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    import json

    (tmp_path / "shop.py").write_text(SHOP.format(name="charge"))
    (tmp_path / "histories").mkdir()
    with LocalRunner(load(tmp_path / "shop.py").process) as runner:
        execution = runner.start()
        history = execution.finish().history
    document = {"DurableExecutionArn": execution.arn, "Events": history}
    (tmp_path / "histories" / "one.history.json").write_text(
        json.dumps(document, default=lambda value: value.isoformat())
    )
    return tmp_path


@pytest.mark.acceptance
@pytest.mark.timeout(120)
def test_the_script_passes_on_code_that_replays(shop: Path) -> None:
    done = check(shop)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (shop / "durable-reports" / "sarif" / "lint.sarif").exists()
    assert (shop / "durable-reports" / "junit.xml").read_text().startswith("<?xml")


def filled_in(text: str, known: dict[str, str]) -> str:
    """A text of a workflow with its expressions replaced."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[str(found[1])], text)


def run_action(folder: Path, **inputs: str) -> dict[str, "subprocess.CompletedProcess[str]"]:
    """Run the steps of the composite action as they are written, like the runner does. Uploads are left out."""
    action: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    given: dict[str, str] = {
        name: inputs[name] if name in inputs else each["default"] for name, each in action["inputs"].items()
    }
    known: dict[str, str] = {f"inputs.{name}": value for name, value in given.items()}
    known["runner.temp"] = str(folder / "temp")
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    for step in action["runs"]["steps"]:
        if "uses" in step or (step.get("if") == "inputs.install != ''" and not given["install"]):
            continue
        outputs = dict(line.split("=", 1) for line in (folder / "outputs").read_text().splitlines())
        known |= {f"steps.check.outputs.{name}": value for name, value in outputs.items()}
        expanded = {name: filled_in(text, known) for name, text in step["env"].items()}
        github = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(folder / "outputs"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done[step["name"]] = subprocess.run(
            command, cwd=folder, env={**github, **expanded}, capture_output=True, text=True, check=False
        )
    return done


@pytest.mark.acceptance
@pytest.mark.timeout(120)
def test_the_steps_of_the_action_annotate_summarize_and_pass_on_the_exit_code(shop: Path) -> None:
    (shop / "shop.py").write_text(SHOP.format(name="changed"))
    (shop / "outputs").touch()
    done = run_action(shop, source="shop.py", histories="histories", handler="shop.py:process", install="")
    assert list(done) == ["Lint and replay", "Result"]
    checked = done["Lint and replay"]
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "::error" in checked.stdout
    assert (shop / "outputs").read_text() == "exit-code=1\n"
    assert "| replay `histories` | **failed**, exit code 1 |" in (shop / "summary.md").read_text()
    assert (shop / "temp" / "durable" / "report.html").exists()
    assert (shop / "temp" / "durable" / "sarif" / "check.sarif").exists()
    assert done["Result"].returncode == 1


def test_release_notes_are_the_part_of_the_version() -> None:
    release = load(ROOT / ".ci" / "release_notes.py")
    text = "# Changelog\n\n## Unreleased: 0.2.0\n\n- new\n\n## 0.1.0\n\n- first\n"
    assert release.notes(text, "0.2.0") == "- new\n"
    assert release.notes(text, "0.1.0") == "- first\n"
    assert release.notes(text, "0.3.0") is None
    assert release.notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), release.version())


def test_the_site_s_check_finds_broken_links_and_resources_from_the_network(tmp_path: Path) -> None:
    check_site = load(ROOT / "docs" / "check_site.py")
    (tmp_path / "index.html").write_text(
        '<a href="other.html#there">x</a><a href="missing.html">x</a><a href="other.html#gone">x</a>'
        '<a href="https://example.com">x</a><script src="https://cdn.example.com/x.js"></script>'
        '<link rel="canonical" href="https://example.com/"><img src="gone.png">'
    )
    (tmp_path / "other.html").write_text('<h2 id="there">There</h2>')
    assert list(check_site.problems(tmp_path)) == [
        "index.html: loads https://cdn.example.com/x.js from the network",
        "index.html: links to missing.html, which does not exist",
        "index.html: links to other.html#gone, which has no such anchor",
        "index.html: links to gone.png, which does not exist",
    ]
    assert list(check_site.problems(tmp_path / "nothing")) != []


def test_the_site_shows_no_backslashes_in_the_code_of_a_table() -> None:
    page = SimpleNamespace(file=SimpleNamespace(abs_src_path=ROOT / "docs" / "page.md"))
    row = r"| `a \| b` | c \| d |"
    shown = load(ROOT / "docs" / "site_hooks.py").on_page_markdown(f"{row}\n\n`e \\| f`", page)
    assert shown == "| `a | b` | c \\| d |\n\n`e \\| f`"


def test_the_site_s_check_finds_public_names_without_an_entry(tmp_path: Path) -> None:
    check_site = load(ROOT / "docs" / "check_site.py")
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "shop-errors.html").write_text('<h2 id="shop.errors.Full">Full</h2>')
    names = ["shop.errors:Empty", "shop.errors:Full"]
    assert list(check_site.missing_names(tmp_path, names)) == ["api: shop.errors.Empty is not in the reference"]


@pytest.mark.acceptance
@pytest.mark.parametrize(
    "hook", yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()), ids=lambda hook: hook["id"]
)
def test_a_hook_of_pre_commit_works_where_boto3_cannot_be_imported(shop: Path, hook: dict[str, str]) -> None:
    blocked = shop / "blocked"
    blocked.mkdir()
    for name in ("boto3", "botocore"):
        (blocked / f"{name}.py").write_text(f"raise ImportError('{name} is blocked')\n")
    verb = hook["entry"].split()[1]
    arguments = ["shop.py"] if verb == "lint" else ["histories", "shop.py:process"]
    script = "import sys; from durable_debugger.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, verb, *arguments],
        cwd=shop,
        env={**os.environ, "PYTHONPATH": str(blocked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "blocked" not in done.stdout + done.stderr


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY_URL = PROJECT["project"]["urls"]["Source"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_on_a_package_index_what_it_shows_here() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    for target in targets:
        assert target.startswith("https://"), target
        place = re.fullmatch(rf"{re.escape(REPOSITORY_URL)}/(?:blob|tree|raw)/main/(.+)", target)
        if place is not None:
            assert (ROOT / place[1]).exists(), target


def test_the_badges_are_true() -> None:
    (workflow,) = set(re.findall(r"actions/workflows/([\w.]+)/badge\.svg", README))
    assert (ROOT / ".github" / "workflows" / workflow).exists()
    versions = [name.rpartition(" ")[2] for name in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert f"badge/python-{versions[0]}_to_{versions[-1]}-" in README
    assert f"badge/license-{PROJECT['project']['license'].replace('-', '--')}-" in README
    assert "badge/types-mypy_and_pyright_strict-" in README
    assert PROJECT["tool"]["mypy"]["strict"] is True
    assert PROJECT["tool"]["pyright"]["typeCheckingMode"] == "strict"


def test_every_address_of_the_project_is_under_one_name() -> None:
    owner = REPOSITORY_URL.partition("https://")[2].split("/")[1]
    for name in ("Documentation", "Issues", "Changelog"):
        assert owner in PROJECT["project"]["urls"][name]
    pattern = re.compile(r"github\.com/([\w-]+)/durable-execution-sdk")
    files = [*ROOT.glob("*.md"), *ROOT.glob("*.yml"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.*")]
    found = {match for file in files if file.is_file() for match in pattern.findall(file.read_text(encoding="utf-8"))}
    assert found == {owner}


VULNERABLE = {"name": "idna", "version": "3.4", "vulns": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"]}]}

UNKNOWN = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1)"}


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ([{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}], 0, "1 packages checked with pypi"),
        ([{"dependencies": [VULNERABLE]}], 1, "idna 3.4: PYSEC-2024-60, fixed in 3.7"),
        ([None, {"dependencies": [VULNERABLE]}], 1, "PYSEC-2024-60"),
        ([{"dependencies": [UNKNOWN]}, {"dependencies": [VULNERABLE]}], 1, "PYSEC-2024-60"),
        ([{"dependencies": [UNKNOWN]}, {"dependencies": [UNKNOWN]}], 2, "pypi: it does not know any of these packages"),
        (
            [{"dependencies": [UNKNOWN, {"name": "a", "vulns": []}]}],
            0,
            "Not checked, because pypi does not know them: b",
        ),
        ([None, None], 2, "Nothing was audited: no advisory data can be reached from here"),
    ],
)
def test_an_audit_that_could_not_look_says_so(answers: list[object], code: int, words: str) -> None:
    import json

    left = iter(answers)

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        answer = next(left)
        return subprocess.CompletedProcess(
            command, 1, json.dumps(answer) if answer else "", "ConnectionError: no route"
        )

    found, lines = load(ROOT / ".ci" / "audit.py").audit(run)
    assert found == code
    assert words in "\n".join(lines)
