"""What users import: sorted, documented, and shown by its public name."""

import importlib
import inspect

import pytest

PUBLIC = (
    "durable_execution",
    "durable_execution.config",
    "durable_execution.errors",
    "durable_execution.local",
    "durable_execution.observers",
    "durable_execution.comparison",
    "durable_execution.telemetry",
    "durable_execution.testing",
)


def exports(name: str) -> list[str]:
    return list(getattr(importlib.import_module(name), "__all__", []))


def everything() -> list[tuple[str, str]]:
    return [(module, export) for module in PUBLIC for export in exports(module)]


@pytest.mark.parametrize("module", PUBLIC)
def test_exports_are_listed_once_and_in_order(module: str) -> None:
    names = exports(module)
    if module == "durable_execution":
        assert names, "the package says what it offers"
    assert names == sorted(set(names)), f"{module}.__all__ is not sorted, or names something twice"


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
