"""What the project writes can be read by its owner only."""

import os
import stat
from pathlib import Path

import pytest

from durable_debugger.cli import main as durable_debug
from durable_execution.local import LocalEngine
from durable_execution.private_files import make_private_directory, open_private, write_private
from tests.campaigns.workflows import order, rates

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_an_engine_writes_is_private(tmp_path: Path) -> None:
    place = tmp_path / "project" / ".durable"
    with LocalEngine(place / "executions.db", time="skip") as engine:
        engine.register("order", order)
        engine.register("rates", rates)
        arn = engine.start("order", {})
        engine.wait_for_callback_id(arn)
        engine._lease.hold()
        written = [tmp_path / "project", *(tmp_path / "project").rglob("*")]
        assert {".db", ".db-wal", ".db-shm", ".lock", ".jsonl"} <= {path.suffix for path in written}
        for path in written:
            assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert (place / ".gitignore").read_text().splitlines()[-1] == "*"


@pytest.mark.parametrize("form", ["json", "html", "otlp", "perfetto", "bundle"])
def test_exports_are_private(tmp_path: Path, form: str) -> None:
    store, target = tmp_path / "executions.db", tmp_path / "export"
    with LocalEngine(store, time="skip") as engine:
        engine.register("rates", rates)
        arn = engine.run("rates", {}).arn
    assert durable_debug(["export", arn, "--store", str(store), "--to", form, "-o", str(target)]) == 0
    assert mode(target) == 0o600


def test_existing_directories_and_files_keep_their_permissions(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "file").touch(mode=0o644)
    make_private_directory(shared)
    with open_private(shared / "file", "ab") as file:
        file.write(b"x")
    assert (mode(shared), mode(shared / "file")) == (0o755, 0o644)


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    write_private(tmp_path / "file", "⊘")
    assert (tmp_path / "file").read_bytes() == "⊘".encode()
