"""The line of a recorded traceback that the user can edit, among lines of libraries packaged beside it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from durable_execution.call_site import CallSite
from durable_execution.explain import explain_execution
from durable_execution.explain.user_code import own_files, site_of_error, sites_of_error
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import ErrorObject
from durable_execution.trace.sources import installed_in
from tests.explain.planted import History

HANDLER = "/var/task/orders.py:40 in charge: pay(card)"
LIBRARY = "/var/task/stripe/_http_client.py:200 in request: raise ConnectError()"
STANDARD = "/var/lang/lib/python3.13/json/decoder.py:353 in raw_decode: raise JSONDecodeError()"


def error(*frames: str) -> ErrorObject:
    return ErrorObject("no route", "ConnectError", stack_trace=frames)


def line(*frames: str, known: tuple[str, ...] = ()) -> str:
    site = site_of_error(error(*frames), known)
    return f"{site.file.removeprefix('/var/task/')}:{site.line}" if site is not None else ""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that does not contain the recorded files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


FRAMES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "a library beside the handler": ((HANDLER, LIBRARY), "orders.py:40"),
    "its callback": ((HANDLER, LIBRARY, "/var/task/orders.py:7 in hook: fail()"), "orders.py:7"),
    "a module beside the handler": ((HANDLER, "/var/task/pricing.py:3 in price: fail()"), "pricing.py:3"),
    "the handler's own package": (
        ("/var/task/app/flows/orders.py:4 in handler: x", "/var/task/app/pricing.py:3 in price: x", LIBRARY),
        "app/pricing.py:3",
    ),
    "the standard library": ((HANDLER, STANDARD), "orders.py:40"),
    "the standard library on Windows": (
        (r"C:\shop\orders.py:4 in f: x", r"C:\Program Files\Python313\Lib\json\decoder.py:353 in raw_decode: x"),
        r"C:\shop\orders.py:4",
    ),
    "a layer": ((HANDLER, "/opt/python/requests/api.py:9 in get: x"), "orders.py:40"),
    "generated code": ((HANDLER, "<string>:3 in __init__: x"), "orders.py:40"),
    "AWS's SDK": ((HANDLER, "/var/task/aws_durable_execution_sdk_python/context.py:9 in step: x"), "orders.py:40"),
    "as Python writes it": (('  File "/var/task/orders.py", line 40, in charge\n    pay(card)\n  File "/var/task/stripe/a.py", line 2, in b',), "orders.py:40"),
    "a library alone": ((LIBRARY,), "stripe/_http_client.py:200"),
    "only the standard library": ((STANDARD,), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_the_innermost_line_of_the_users_code(name: str) -> None:
    frames, expected = FRAMES[name]
    assert line(*frames) == expected


def test_files_that_traces_name_are_the_users() -> None:
    inner = "/var/task/domain/pricing.py:3 in price: x"
    assert line(HANDLER, inner, LIBRARY) == "orders.py:40", "nothing tells domain from a library"
    assert line(HANDLER, inner, LIBRARY, known=("/var/task/domain/rules.py",)) == "domain/pricing.py:3"


def test_files_of_the_project_are_the_users(elsewhere: Path) -> None:
    (elsewhere / "domain").mkdir()
    (elsewhere / "domain" / "pricing.py").touch()
    inner = "/var/task/domain/pricing.py:3 in price: x"
    assert line(HANDLER, inner, LIBRARY) == "domain/pricing.py:3"
    (elsewhere / "prices-1.0.dist-info").mkdir()
    (elsewhere / "prices-1.0.dist-info" / "RECORD").write_text("domain/pricing.py,,\n")
    installed_in.cache_clear()
    assert line(HANDLER, inner, LIBRARY) == "orders.py:40", "it was installed there"
    (elsewhere / "prices-1.0.dist-info" / "RECORD").write_text("domain/pricing.py,,\norders.py,,\n")
    installed_in.cache_clear()
    assert line(HANDLER, inner, LIBRARY) == "domain/pricing.py:3", "the handler's own distribution"


def test_distributions_installed_beside_a_local_handler_are_libraries(elsewhere: Path) -> None:
    frames = (
        f"{elsewhere}/orders.py:4 in f: x",
        f"{elsewhere}/six.py:9 in reraise: x",
        f"{elsewhere}/util/u.py:1 in u: x",
    )
    assert [site.line for site in sites_of_error(error(*frames))] == [4, 9, 1]
    (elsewhere / "six-1.17.dist-info").mkdir()
    (elsewhere / "six-1.17.dist-info" / "RECORD").write_text("six.py,,\n")
    installed_in.cache_clear()
    assert [site.line for site in sites_of_error(error(*frames))] == [4, 1]


def failed(*frames: str) -> RecordedExecution:
    return replace(History().started().step("reserve", 1).read(), error=error(*frames), status="FAILED")


def test_an_explanation_names_the_line_also_as_text() -> None:
    execution = failed(HANDLER, LIBRARY, STANDARD)
    found = explain_execution(execution, as_of=execution.started_at)
    assert found.place is not None
    assert found.place.call_site == CallSite("/var/task/orders.py", 40, "charge")
    assert "  at         /var/task/orders.py:40 in charge" in found.text.splitlines()


def test_call_sites_of_traces_are_known_files() -> None:
    execution = failed(HANDLER)
    (operation,) = execution.operations
    traced = replace(execution, operations=(replace(operation, call_site=CallSite("/var/task/domain/a.py", 1, "f")),))
    assert own_files(traced) == {"/var/task/domain/a.py"}
