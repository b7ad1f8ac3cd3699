"""What users import: sorted, documented, and shown by its public name."""

import importlib
import inspect
from pathlib import Path

import pytest

PUBLIC = (
    "durable_execution",
    "durable_execution.config",
    "durable_execution.errors",
    "durable_execution.local",
    "durable_execution.observers",
    "durable_execution.replay",
    "durable_execution.serdes",
    "durable_execution.telemetry",
    "durable_execution.testing",
    "durable_execution.testing.properties",
)


def exports(name: str) -> list[str]:
    return list(getattr(importlib.import_module(name), "__all__", []))


def _kind_and_name(name: str) -> tuple[bool, bool, str]:
    return not name.isupper(), not name[0].isupper(), name  # constants, classes, functions: as ruff sorts them


def everything() -> list[tuple[str, str]]:
    return [(module, export) for module in PUBLIC for export in exports(module)]


@pytest.mark.parametrize("module", PUBLIC)
def test_exports_are_listed_once_and_in_order(module: str) -> None:
    names = exports(module)
    assert names, "the package says what it offers"
    assert names == sorted(set(names), key=_kind_and_name), f"{module}.__all__ is not sorted, or names something twice"


def test_what_users_may_import_is_pinned() -> None:
    """A name that comes or goes is a decision: `public_face.txt` changes in the same commit."""
    pinned = (Path(__file__).parent / "public_face.txt").read_text(encoding="utf-8").split()
    assert [f"{module}:{export}" for module, export in everything()] == pinned


def test_errors_show_by_their_public_name_in_tracebacks() -> None:
    package = importlib.import_module("durable_execution")
    errors = [
        value
        for name in package.__all__
        if inspect.isclass(value := getattr(package, name)) and issubclass(value, BaseException)
    ]
    assert errors
    assert {error.__module__ for error in errors} == {"durable_execution"}


@pytest.mark.parametrize(("module", "export"), everything())
def test_an_export_exists_and_is_documented(module: str, export: str) -> None:
    value = getattr(importlib.import_module(module), export)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert (value.__doc__ or "").strip(), f"{module}.{export} has no docstring"
        assert not (value.__doc__ or "").startswith(f"{export}("), f"{module}.{export} has only the generated docstring"


@pytest.mark.parametrize("export", exports("durable_execution"))
def test_public_methods_are_documented(export: str) -> None:
    value = getattr(importlib.import_module("durable_execution"), export)
    if not inspect.isclass(value):
        return
    silent = [
        name
        for name, member in vars(value).items()
        if not name.startswith("_") and inspect.isroutine(member) and not inspect.getdoc(getattr(value, name))
    ]
    assert not silent, f"{export}: {silent}"
