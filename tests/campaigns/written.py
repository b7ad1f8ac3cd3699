"""Everything that the tools write, in one directory: `python -m tests.campaigns.written` lists it with its permissions."""

import contextlib
import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from durable_debugger.cli import main as durable_debug
from durable_execution import DurableContext, StepConfig, durable_execution
from durable_execution.local import LocalEngine
from durable_execution.local.http import JsonLog
from durable_execution.serdes import DirectoryStore, OffloadedSerDes
from durable_execution.testing.properties import check_workflow, succeeds

EXPORTS = ("json", "html", "otlp", "perfetto", "bundle")
HANDLER = "tests.campaigns.written:stores"


@durable_execution
async def fails(event: Any, ctx: DurableContext) -> None:
    """Fail, so that a property of it is wrong."""
    raise ValueError("as it should")


@durable_execution
async def stores(event: dict[str, str], ctx: DurableContext) -> str:
    """Store a result in a directory."""
    serdes = OffloadedSerDes(None, store=DirectoryStore(event["payloads"]), above_bytes=10)
    return await ctx.step(lambda _: "a text of more than ten bytes", name="large", config=StepConfig(serdes=serdes))


@contextlib.contextmanager
def everything(project: Path) -> Iterator[None]:
    """Use every tool that writes files. Inside the block, an engine still runs.

    Args:
        project: A directory that does not exist yet.
    """
    home = project / ".durable"
    store = home / "executions.db"
    log = JsonLog(home / "log" / "serve.jsonl")
    log.write({"message": "as serve does with --log-file"})
    with contextlib.suppress(AssertionError):
        check_workflow(fails, invariants=[succeeds()], max_examples=1, save_to=home / "counterexamples")
    with LocalEngine(store, time="skip") as engine:
        engine.register("stores", stores)
        arn = engine.run("stores", {"payloads": str(home / "payloads")}).arn
        engine._lease.hold()  # as an engine does that others may share the store with
        for form in EXPORTS:
            _command("export", arn, "--store", str(store), "--to", form, "-o", str(project / f"export.{form}"))
        options = ("--no-cause", "--store", str(store), "--format", "sarif", "--jobs", "1")
        _command(
            "check", arn, HANDLER, *options, "-o", str(project / "check.sarif"), "--html", str(project / "check.html")
        )
        yield
    log.close()


def _command(*words: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        durable_debug(words)


def listing(directory: Path) -> list[str]:
    """The permissions, the size and the path of everything in a directory, and of the directory."""
    found = sorted([directory, *directory.rglob("*")])
    return [
        f"{stat.filemode(path.lstat().st_mode)} {path.lstat().st_size:>8} {path.relative_to(directory.parent)}"
        for path in found
    ]


def main() -> None:
    """Write everything under the most generous umask, and list it."""
    os.umask(0)
    with tempfile.TemporaryDirectory() as parent:
        project = Path(parent) / "project"
        with everything(project):
            sys.stdout.write("\n".join(listing(project)) + "\n")


if __name__ == "__main__":
    main()
