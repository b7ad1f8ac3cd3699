"""No outlet shows a secret: replay traces, spans, exports, command output in every form, and the debugger's screen."""

import json
from pathlib import Path

import pytest

from durable_debugger.cli import main as durable_debug
from durable_execution.local import LocalEngine
from tests.unit.redaction import leaky, secrets

FORMS = (
    ("show", "{}"),
    ("show", "{}", "--json"),
    ("show", "{}", "--events"),
    ("show", "{}", "--timeline"),
    ("show", "{}", "--trace"),
    ("export", "{}", "--to", "json"),
    ("export", "{}", "--to", "html"),
    ("export", "{}", "--to", "otlp"),
    ("export", "{}", "--to", "perfetto"),
    ("export", "{}", "--to", "bundle"),
    ("list",),
    ("diff", "{}", "{}"),
    ("replay", "{}", "{module}:leaks", "--headless"),
    ("replay", "{}", "{module}:leaks", "--json"),
    ("replay", "{}", "{module}:changed", "--headless"),
    ("replay", "{}", "{module}:changed", "--json"),
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store with executions full of secrets, with everything that can be recorded beside it."""
    directory = tmp_path_factory.mktemp("leaky")
    payload = {"plain": leaky.values(), "nested": json.dumps({"body": json.dumps(leaky.values())})}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DURABLE_REPLAY_TRACE_PAYLOADS", "1")
        patch.setenv("DURABLE_REPLAY_TRACE_LOCALS", "1")
        with LocalEngine(directory / "executions.db", time="skip") as engine:
            engine.register("leaks", leaky.leaks)
            engine.register("fails", leaky.fails_at_last)
            arns = [engine.start("leaks", payload), engine.start("fails", payload)]
            statuses = [engine.wait(arn).status for arn in arns]
    assert statuses == ["SUCCEEDED", "FAILED"]
    return directory, arns


def leaked(text: str) -> list[str]:
    """The secrets that stand in a text."""
    found = [name for name, value in leaky.values().items() if value in text]
    return found + [shape for shape in secrets.SHAPES if shape in text or json.dumps(shape)[1:-1] in text]


@pytest.mark.parametrize("kind", ["traces", "spans"])
def test_what_is_recorded_beside_the_store(recorded: tuple[Path, list[str]], kind: str) -> None:
    files = [path for path in (recorded[0] / kind).rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert leaked(path.read_text()) == []


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_what_a_command_prints(
    recorded: tuple[Path, list[str]], form: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, arns = recorded
    for arn in arns:
        words = [word.format(arn, module="tests.unit.redaction.leaky") for word in form]
        durable_debug([*words, "--store", str(directory / "executions.db")])
        printed = capsys.readouterr()
        assert printed.out
        assert leaked(printed.out + printed.err) == []
