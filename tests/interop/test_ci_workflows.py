"""The example workflows for CI run as they are written, step by step, in a clone of a project that uses them."""

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from durable_execution.local import LocalEngine
from tests.interop.serving import served
from tests.replay.recording import history_of

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "ci"
ORDERS = """\
from durable_execution import durable_execution


@durable_execution
async def process_order(event, ctx):
    await ctx.step(lambda _: 1, name="charge")
    approval = await ctx.create_callback("approval")
    await approval.result()
    return await ctx.step(lambda _: 2, name="ship")
"""
PROJECT = """\
[project]
name = "shop"
version = "1.0"

[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = '''\
"""Builds the wheel without a download."""
import zipfile


def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "shop-1.0-py3-none-any.whl"
    files = {
        "shop/__init__.py": "",
        "shop/orders.py": open("src/shop/orders.py").read(),
        "shop-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: shop\\nVersion: 1.0\\n",
        "shop-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "".join(f"{one},,\\n" for one in [*files, "shop-1.0.dist-info/RECORD"])
    with zipfile.ZipFile(f"{directory}/{name}", "w") as archive:
        for path, text in {**files, "shop-1.0.dist-info/RECORD": record}.items():
            archive.writestr(path, text)
    return name
'''


@dataclass
class Clone:
    """A clone of the project, with an interpreter of its own."""

    home: Path
    python: Path

    def change(self, before: str, after: str) -> None:
        file = self.home / "src" / "shop" / "orders.py"
        file.write_text(file.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")

    def run(self, command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run one step as the runner does: in bash, in the clone, ended by the first command that fails."""
        hidden = ("AWS_", "PYTHON", "GITHUB_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
            cwd=self.home,
            env={**kept, "PATH": path, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter in which this package is installed as it is here, and the project is not yet."""
    home = tmp_path_factory.mktemp("python")
    venv.create(home, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "installed.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in here))
    for name, module in (("durable-debug", "durable_debugger"), ("pip", "pip")):
        command = home / "bin" / name
        command.write_text(f'#!/bin/sh\nexec {home}/bin/python -m {module} "$@"\n', encoding="utf-8")
        command.chmod(0o755)
    return home / "bin" / "python"


@pytest.fixture
def clone(tmp_path: Path, python: Path) -> Clone:
    origin = tmp_path / "origin"
    (origin / "src" / "shop").mkdir(parents=True)
    (origin / "histories").mkdir()
    texts = {"pyproject.toml": PROJECT, "backend.py": BACKEND, "src/shop/__init__.py": "", "src/shop/orders.py": ORDERS}
    for name, text in texts.items():
        (origin / name).write_text(text, encoding="utf-8")
    events, arn = history_of(deployed(), {}, callbacks={"approval": "1"})
    text = json.dumps({"DurableExecutionArn": arn, "Events": events}, default=str)
    (origin / "histories" / "order.history.json").write_text(text, encoding="utf-8")
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "Take orders"]):
        subprocess.run(["git", *words], cwd=origin, check=True)
    subprocess.run(["git", "clone", "-q", str(origin), str(tmp_path / "clone")], check=True)
    return Clone(tmp_path / "clone", python)


def deployed() -> Any:
    """The handler as it is deployed; its package is not imported here."""
    names: dict[str, Any] = {"__name__": "deployed"}
    exec(ORDERS, names)  # the text above
    return names["process_order"]


def commands(file: str) -> list[str]:
    """The commands of an example, in order, the first line included."""
    workflow: dict[str, Any] = yaml.safe_load((EXAMPLES / file).read_text(encoding="utf-8"))
    if "jobs" in workflow:
        (job,) = workflow["jobs"].values()
        return [step["run"] for step in job["steps"] if "run" in step]
    job = workflow["durable-functions"]
    return [*job["before_script"], *job["script"]]


@pytest.mark.parametrize("file", ["github-actions.yml", "gitlab-ci.yml"])
def test_the_checks_run_as_they_are_written(clone: Clone, file: str) -> None:
    steps = commands(file)
    assert steps[0].startswith("pip install")
    for step in steps:
        done = clone.run(step)
        assert done.returncode == 0, (step, done.stdout, done.stderr)
    if file == "gitlab-ci.yml":
        assert "<testsuites>" in (clone.home / "junit.xml").read_text(encoding="utf-8")
        assert "process_order" in (clone.home / "report.html").read_text(encoding="utf-8")


def test_a_change_that_breaks_recorded_executions_fails_the_job(clone: Clone) -> None:
    clone.change('name="ship"', 'name="send"')
    *before, last = commands("github-actions.yml")
    for step in before:
        assert clone.run(step).returncode == 0, step
    done = clone.run(last)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout.startswith("::error file=")


@pytest.mark.parametrize(("change", "code"), [(("charge", "charge"), 0), (("charge", "bill"), 1)])
def test_the_gate_runs_as_it_is_written_up_to_the_api(clone: Clone, change: tuple[str, str], code: int) -> None:
    workflow = yaml.safe_load((EXAMPLES / "gate-github-actions.yml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read", "id-token": "write"}
    (job,) = workflow["jobs"].values()
    (credentials,) = (step["with"] for step in job["steps"] if "configure-aws-credentials" in step.get("uses", ""))
    with LocalEngine(None, trace_sink=False) as engine, served(engine) as (url, _):
        engine.register("process-order", deployed())
        engine.start("process-order", {})
        engine.run_until_idle()
        clone.change(*change)
        assumed = {  # what the step that assumes the role leaves for those after it
            "AWS_REGION": credentials["aws-region"],
            "AWS_DEFAULT_REGION": credentials["aws-region"],
            "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example",
            "AWS_SESSION_TOKEN": "example",
            "AWS_ENDPOINT_URL_LAMBDA": url,
        }
        *before, last = commands("gate-github-actions.yml")
        for step in before:
            done = clone.run(step)
            assert done.returncode == 0, (step, done.stderr)
        done = clone.run(last, **assumed)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "1 open execution" in done.stderr
    assert ("::error file=" in done.stdout) is bool(code)
