"""The deployment kit: the build of the layer and the package for Lambda, the templates, the approval API."""

import base64
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZipFile

import pytest

from durable_execution.explain.states import NONDETERMINISTIC


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"deploy_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build(repository: Path) -> ModuleType:
    return load(repository / "examples" / "deploy" / "build.py")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """What `pip install --target` leaves, in small."""
    folder = tmp_path / "installed"
    files = {
        "durable_execution/__init__.py": "VALUE = 1\n",
        "durable_debugger/__init__.py": "",
        "boto3/__init__.py": "",
        "boto3-1.44.5.dist-info/METADATA": "",
        "python_dateutil-2.9.dist-info/METADATA": "",
        "dateutil/__init__.py": "",
        "six.py": "",
        "pydantic/__init__.py": "",
        "bin/tool": "",
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def test_wheels_for_older_c_libraries_are_accepted(build: ModuleType) -> None:
    assert {"manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_34_aarch64"} <= set(
        build.platforms("arm64")
    )
    assert all(platform.endswith("_x86_64") for platform in build.platforms("x86_64"))
    assert "manylinux_2_35_x86_64" not in build.platforms("x86_64")


def test_the_archive_without_boto3_leaves_out_what_the_runtime_has(
    build: ModuleType, installed: Path, tmp_path: Path
) -> None:
    build.archive(installed, tmp_path / "layer.zip", prefix="python", without=build.IN_THE_RUNTIME)
    with ZipFile(tmp_path / "layer.zip") as zipped:
        assert zipped.namelist() == ["python/durable_execution/__init__.py", "python/pydantic/__init__.py"]


def test_the_same_files_make_the_same_archive(build: ModuleType, installed: Path, tmp_path: Path) -> None:
    build.archive(installed, tmp_path / "one.zip")
    for file in installed.rglob("*.py"):
        file.touch()
    build.archive(installed, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_modules_are_compiled_by_the_runtime_s_own_python_only(build: ModuleType, installed: Path) -> None:
    assert not build.precompile(installed, python="2.7")
    assert not list(installed.rglob("*.pyc"))
    assert build.precompile(installed, python=f"{sys.version_info.major}.{sys.version_info.minor}")
    assert (installed / "durable_execution" / "__pycache__").is_dir()


DEPLOY = "examples/deploy"
TEMPLATES = ("sam/template.yaml", "cdk/app.py", "terraform/main.tf")
WHAT_EACH_SETS_UP = (
    # the functions, and what makes one durable
    "orders.process_order",
    "approvals.handler",
    "AWSLambdaBasicDurableExecutionRolePolicy",
    "APPROVAL_TOPIC",
    # telemetry
    "/opt/otel-instrument",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "DURABLE_TRACE_VIEW",
    # least privilege
    "lambda:SendDurableExecutionCallbackSuccess",
    "lambda:ListDurableExecutionsByFunction",
    "lambda:GetDurableExecution",
    "lambda:GetDurableExecutionHistory",
    # alarms
    "DurableExecutionFailed",
    "DurableExecutionTimedOut",
    "Nondeterminism in",
    "Divergences",
)


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_sets_up_the_same(repository: Path, template: str) -> None:
    text = (repository / DEPLOY / template).read_text(encoding="utf-8")
    assert [name for name in WHAT_EACH_SETS_UP if name not in text] == []
    memory = re.search(r"(?i)memory_?size\W+(\d+)", text)
    assert memory is not None
    assert int(memory[1]) >= 512
    assert NONDETERMINISTIC.strip() in WHAT_EACH_SETS_UP, "the filter looks for what is logged"


def test_every_name_of_the_terraform_template_is_declared_and_used(repository: Path) -> None:
    text = (repository / DEPLOY / "terraform" / "main.tf").read_text(encoding="utf-8")
    declared = {f"{kind}.{name}" for kind, name in re.findall(r'^resource "(\w+)" "(\w+)" \{', text, re.MULTILINE)}
    declared |= {f"data.{kind}.{name}" for kind, name in re.findall(r'^data "(\w+)" "(\w+)" \{', text, re.MULTILINE)}
    declared |= {f"var.{name}" for name in re.findall(r'^variable "(\w+)" \{', text, re.MULTILINE)}
    (block,) = re.findall(r"^locals \{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL)
    declared |= {f"local.{name}" for name in re.findall(r"^  (\w+) +=", block, re.MULTILINE)}
    used = set(re.findall(r"\b(?:(?:data\.)?aws_\w+\.\w+|var\.\w+|local\.\w+)", text))
    assert used - declared == set()
    assert {name for name in declared - used if name.startswith(("var.", "local.", "data."))} == set()


@pytest.mark.skipif(shutil.which("terraform") is None, reason="needs terraform")
def test_terraform_reads_its_template(repository: Path) -> None:
    command = ["terraform", "fmt", "-check", "-diff", str(repository / DEPLOY / "terraform")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Client:
    """The Lambda client of the approval API."""

    class exceptions:  # noqa: N801  # boto3's name
        class ResourceNotFoundException(Exception):  # noqa: N818  # boto3's name
            pass

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def send_durable_execution_callback_success(self, *, CallbackId: str, Result: bytes) -> None:  # noqa: N803
        if CallbackId == "gone":
            raise self.exceptions.ResourceNotFoundException
        self.sent.append((CallbackId, json.loads(Result)))


APPROVED = '{"approved": true, "by": "Grace"}'
ENCODED = {"body": base64.b64encode(APPROVED.encode()).decode(), "isBase64Encoded": True}


@pytest.mark.parametrize(
    ("event", "status"),
    [
        pytest.param({"pathParameters": {"callback_id": "a%2Fb%3D"}, "body": APPROVED}, 202, id="HTTP API"),
        pytest.param({"body": APPROVED}, 202, id="function URL"),
        pytest.param(ENCODED, 202, id="function URL, encoded body"),
        pytest.param({"body": '{"approved": true}'}, 400, id="incomplete"),
        pytest.param({}, 400, id="no body"),
        pytest.param({"rawPath": "/approvals/gone", "body": APPROVED}, 404, id="completed already"),
        pytest.param({"rawPath": "/favicon.ico"}, 404, id="a different path"),
    ],
)
def test_the_approval_api_answers_both_kinds_of_address(
    repository: Path, monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], status: int
) -> None:
    client = Client()
    monkeypatch.setattr("boto3.client", lambda name: client)
    handler = load(repository / DEPLOY / "app" / "approvals.py").handler
    assert handler({"rawPath": "/approvals/a%2Fb%3D", **event}, None)["statusCode"] == status
    assert client.sent == ([("a/b=", {"approved": True, "by": "Grace"})] if status == 202 else [])
