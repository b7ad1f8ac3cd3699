"""What the project writes can be read by its owner only."""

import os
import stat
from pathlib import Path

import pytest

from durable_execution.local import LocalEngine
from durable_execution.private_files import make_private_directory, open_private, write_private
from tests.campaigns.written import everything, listing

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_that_the_tools_write_is_private(tmp_path: Path) -> None:
    """Even under a umask that takes nothing away. `python -m tests.campaigns.written` prints the listing."""
    project = tmp_path / "project"
    umask = os.umask(0)
    try:
        with everything(project):
            found = listing(project)
    finally:
        os.umask(umask)
    print(*found, sep="\n")
    assert [line for line in found if not line.startswith(("-rw------- ", "drwx------ "))] == []
    suffixes = {Path(line).suffix for line in found}
    assert {".db", ".db-wal", ".db-shm", ".lock", ".jsonl", ".html", ".otlp", ".bundle", ".sarif", ".json"} <= suffixes
    folders = {Path(line.split()[-1]).name for line in found if line.startswith("d")}
    assert {"project", ".durable", "executions.db-engines", "traces", "payloads", "log", "counterexamples"} <= folders
    assert (project / ".durable" / ".gitignore").read_text().splitlines()[-1] == "*"


def test_the_locks_of_dead_engines_are_removed(tmp_path: Path) -> None:
    store = tmp_path / "executions.db"
    with LocalEngine(store, trace_sink=False) as engine:
        engine._lease.hold()
        locks = tmp_path / "executions.db-engines"
        (locks / "dead.lock").touch()
        assert len(list(locks.iterdir())) == 2
        with LocalEngine(store, trace_sink=False) as other:
            other._lease.hold()
            assert "dead.lock" not in {path.name for path in locks.iterdir()}
    assert list(locks.iterdir()) == []


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


def test_text_that_has_no_utf_8_form_is_written_as_escapes(tmp_path: Path) -> None:
    write_private(tmp_path / "file", '{"a": "\ud800"}')
    assert (tmp_path / "file").read_text() == '{"a": "\\ud800"}'
