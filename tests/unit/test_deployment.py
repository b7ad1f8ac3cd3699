"""The build of the layer and the package for Lambda: which wheels, which files, which archives."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest


@pytest.fixture(scope="module")
def build(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_build", repository / "examples" / "deploy" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
