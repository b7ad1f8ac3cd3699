"""The files that a replay trace keeps: those of the user, in a folder that may hold the libraries too, as on Lambda."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel, SecretStr

from durable_execution.redaction import Redaction
from durable_execution.trace import MemorySink, TraceRecorder
from durable_execution.trace import sources as sources_module
from durable_execution.trace.sources import SDK, source_lines, source_texts
from tests.unit.trace.test_recorder import record, shop


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment package whose modules are loaded: a handler, a module and a folder of the user, and two libraries."""
    files = ("handler.py", "prices.py", "shop/stock.py", "annotated_types/__init__.py", "typing_extensions.py")
    for file in files:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"name = {file!r}\n")
        module = ModuleType(path.stem)
        module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, f"package_under_test_{len(sys.modules)}", module)
    install(
        tmp_path, "annotated_types", "annotated_types/__init__.py,sha256=x,46\nannotated_types-1.dist-info/RECORD,,\n"
    )
    install(tmp_path, "typing_extensions", "typing_extensions.py,sha256=x,46\n")
    return tmp_path


def install(folder: Path, name: str, record: str) -> None:
    metadata = folder / f"{name}-1.dist-info"
    metadata.mkdir()
    (metadata / "RECORD").write_text(record)


def kept(package: Path) -> list[str]:
    handler = package / "handler.py"
    return [str(Path(line["file"]).relative_to(package)) for line in map(json.loads, source_lines(str(handler), []))]


def test_libraries_beside_the_handler_are_left_out(package: Path) -> None:
    assert kept(package) == ["handler.py", "prices.py", "shop/stock.py"]


def test_modules_that_were_installed_with_the_handler_are_kept(package: Path) -> None:
    install(package, "shop", "handler.py,sha256=x,1\nprices.py,sha256=x,1\nshop/stock.py,sha256=x,1\n")
    assert kept(package) == ["handler.py", "prices.py", "shop/stock.py"]


def test_a_folder_whose_name_starts_as_the_handlers_does_is_a_different_one(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = package.with_name(f"{package.name}-old") / "prices.py"
    neighbour.parent.mkdir()
    neighbour.write_text("name = 1\n")
    module = ModuleType("prices")
    module.__file__ = str(neighbour)
    monkeypatch.setitem(sys.modules, "package_under_test_neighbour", module)
    assert kept(package) == ["handler.py", "prices.py", "shop/stock.py"]


def test_the_sdk_beside_the_handler_is_left_out() -> None:
    handler = Path(SDK).with_name("handler_that_is_not_there.py")
    assert [
        line["file"] for line in map(json.loads, source_lines(str(handler), [])) if line["file"].startswith(SDK)
    ] == []


class Order(BaseModel):
    """A payload with a secret."""

    api_key_of_shop: SecretStr


async def takes(order: Order, ctx: object) -> None:
    """A handler with that payload."""


def test_an_invocation_packs_nothing_that_was_packed_in_init() -> None:
    sink = MemorySink()
    recorder = TraceRecorder(sink, sources=True, redaction=Redaction().with_keys({"a name of this test alone"}))
    before = sources_module._packed.cache_info().misses
    recorder.prepare(shop.function)
    packed = sources_module._packed.cache_info().misses
    assert packed > before
    text = sink.texts[record(recorder)]
    assert sources_module._packed.cache_info().misses == packed
    assert '"record": "source"' in text


def test_what_is_packed_in_init_hides_the_secrets_of_the_payload() -> None:
    recorder = TraceRecorder(MemorySink(), sources=True)
    recorder.prepare(takes)
    before = sources_module._packed.cache_info().misses
    (line, *_) = source_lines(__file__, [], Redaction().with_keys({"api_key_of_shop"}))
    assert sources_module._packed.cache_info().misses == before
    assert __file__ in source_texts([json.loads(line)])


def test_a_module_that_is_loaded_later_is_kept_too(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept(package)
    (package / "later.py").write_text("name = 'later'\n")
    module = ModuleType("later")
    module.__file__ = str(package / "later.py")
    monkeypatch.setitem(sys.modules, f"package_under_test_{len(sys.modules)}", module)
    assert set(kept(package)) - set(before) == {"later.py"}


def test_the_modules_of_a_process_are_looked_at_once(package: Path) -> None:
    kept(package)
    misses = sources_module._loaded_beside.cache_info().misses
    kept(package)
    assert sources_module._loaded_beside.cache_info().misses == misses
