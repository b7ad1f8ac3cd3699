"""The configuration file of `durable-debug serve`."""

from datetime import timedelta
from pathlib import Path

import pytest

from durable_execution.errors import EngineError
from durable_execution.local.http.manifest import FunctionSettings, read_manifest
from durable_execution.local.http.server import lambda_form

WHOLE = """
[functions.orders]
handler = "shop/orders.py:handler"
durable = true
timeout = "30s"
execution_timeout = "2d"
retention_days = 3
memory = 512
environment = { TABLE = "orders", LIMIT = 7 }
tenant_isolation = true
versions = { 1 = "releases/1/orders.py:handler", 2 = "shop.orders:handler" }
aliases = { live = 1 }

[functions.elsewhere]
handler = "http://localhost:8080"
timeout = 2.5
"""


def read(tmp_path: Path, text: str) -> dict[str, FunctionSettings]:
    path = tmp_path / "durable.toml"
    path.write_text(text)
    return read_manifest(path)


def test_every_setting_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    assert found["orders"] == FunctionSettings(
        handler=f"{tmp_path}/shop/orders.py:handler",
        durable=True,
        timeout=timedelta(seconds=30),
        execution_timeout=timedelta(days=2),
        retention_days=3,
        memory=512,
        environment={"TABLE": "orders", "LIMIT": "7"},
        tenant_isolation=True,
        versions={"1": f"{tmp_path}/releases/1/orders.py:handler", "2": "shop.orders:handler"},
        aliases={"live": "1"},
    )
    assert found["elsewhere"].is_remote
    assert found["elsewhere"].timeout == timedelta(seconds=2.5)
    assert read(tmp_path, "") == {}


@pytest.mark.parametrize(("text", "reason"), [
    ("[functions.f", "is not TOML"),
    ("[function.f]\nhandler = 'a:b'", "function: there is no such setting; use one of functions"),
    ("[functions.f]\nhandler = 'a:b'\ntime_out = 3", "functions.f.time_out: there is no such setting; use one of handler"),
    ("[functions.f]\nhandler = 'a.b'", "write module:handler"),
    ("[functions.f]\ntimeout = 3", "functions.f.handler"),
    ("[functions.f]\nhandler = 'a:b'\ntimeout = '16m'", "functions.f.timeout: .*less than or equal"),
    ("[functions.f]\nhandler = 'a:b'\ntimeout = true", "write seconds"),
    ("[functions.f]\nhandler = 'a:b'\nexecution_timeout = 'soon'", "write seconds"),
    ("[functions.f]\nhandler = 'a:b'\nretention_days = 91", "functions.f.retention_days"),
    ("[functions.f]\nhandler = 'http://h:1'\nenvironment = { A = 1 }", "functions.f runs behind an address"),
])  # fmt: skip
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        read(tmp_path, text)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"cannot read the configuration .*nowhere\.toml: No such file"):
        read_manifest(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(("target", "shown"), [
    ("shop/orders.py:handler", "shop/orders.handler"),
    ("shop.orders:Handlers.order", "shop.orders.Handlers.order"),
    ("http://localhost:8080", "http://localhost:8080"),
])  # fmt: skip
def test_handlers_are_shown_as_lambda_writes_them(target: str, shown: str) -> None:
    assert lambda_form(target) == shown
