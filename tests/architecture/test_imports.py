"""What an import loads, looked at in a fresh interpreter: the contracts of import-linter, proven at run time."""

import json
import subprocess
import sys

import pytest

LOADED_WHEN_USED = ("boto3", "botocore", "opentelemetry.sdk", "pydantic", "sqlite3", "textual", "rich", "starlette")
"""Every cold start of a Lambda function would pay for these."""

DRAWING = ("textual", "rich")


def modules_after(*statements: str) -> set[str]:
    """The names in `sys.modules` of a new interpreter that ran the statements."""
    script = "\n".join([*statements, "import json, sys", "print('\\n' + json.dumps(sorted(sys.modules)))"])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_sdk_loads_nothing_that_can_wait() -> None:
    loaded = modules_after("import durable_execution", "durable_execution.__all__")
    assert loaded.isdisjoint(LOADED_WHEN_USED), sorted(loaded.intersection(LOADED_WHEN_USED))


def test_every_public_name_of_the_sdk_can_be_had_without_what_can_wait() -> None:
    loaded = modules_after("import durable_execution as d", "[getattr(d, name) for name in d.__all__]")
    assert loaded.isdisjoint(LOADED_WHEN_USED), sorted(loaded.intersection(LOADED_WHEN_USED))


def test_defining_a_handler_with_plain_types_loads_nothing_that_can_wait() -> None:
    loaded = modules_after(
        "from durable_execution import DurableContext, durable_execution",
        "async def handler(event: dict, ctx: DurableContext) -> dict: return {}",
        "durable_execution(handler)",
    )
    assert loaded.isdisjoint(LOADED_WHEN_USED), sorted(loaded.intersection(LOADED_WHEN_USED))


def test_the_screen_opens_without_what_replays() -> None:
    loaded = modules_after("import durable_debugger.app, durable_debugger.cli.look, durable_debugger.cli.options")
    names = ("workers.pool", "workers.supervisor", "replayer", "loading", "cause.deciding_line", "cause.slicing")
    replaying = {"durable_execution.handler", "pydantic_core", *(f"durable_execution.replay.{name}" for name in names)}
    assert loaded.isdisjoint(replaying), sorted(loaded.intersection(replaying))


def test_the_first_paint_of_an_execution_waits_for_nothing_that_other_screens_need() -> None:
    loaded = modules_after(
        "import durable_debugger.app, durable_debugger.cli.look",
        "from durable_debugger.screens.handlers import load_handlers",
        "load_handlers()",
    )
    models = ("model.cost", "model.fleet_facts", "model.fleet_groups", "screens.fleet_screen", "screens.opener")
    other = {*(f"durable_debugger.{name}" for name in models), "textual.widgets._text_area"}
    watching = {"durable_execution.observers", "durable_execution.replay.suspects"}
    assert loaded.isdisjoint(other | watching), sorted(loaded.intersection(other | watching))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["list", "--help"], ["show", "--help"], ["run", "--help"]], ids=" ".join
)
def test_headless_verbs_do_not_load_the_screen(arguments: list[str]) -> None:
    loaded = modules_after(
        "from durable_debugger.cli import main",
        f"try: main({arguments!r})\nexcept SystemExit: pass",
    )
    assert loaded.isdisjoint(DRAWING), sorted(loaded.intersection(DRAWING))
