"""`durable-debug lint` and `durable-debug serve`."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from durable_debugger.cli import main
from durable_execution.lint import RULES

RISKY = """\
from datetime import datetime

from durable_execution import DurableContext, durable_execution


@durable_execution
async def order(payload: dict, ctx: DurableContext) -> None:
    if datetime.now().hour < 12:
        await ctx.step(lambda _: 1, name="early")
"""


@pytest.fixture
def risky(tmp_path: Path) -> Path:
    path = tmp_path / "risky.py"
    path.write_text(RISKY)
    return path


def test_a_clock_outside_a_step_is_a_finding(risky: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(risky)]) == 1
    out = capsys.readouterr().out
    assert f"{risky}:8:" in out
    assert "DUR101" in out


def test_what_is_ignored_on_purpose_is_no_finding(risky: Path, capsys: pytest.CaptureFixture[str]) -> None:
    risky.write_text(RISKY.replace(".hour < 12:", ".hour < 12:  # durable: ignore[DUR101]"))
    assert main(["lint", str(risky)]) == 0
    assert capsys.readouterr().out == "no findings\n"


def test_findings_are_json_sarif_and_annotations(risky: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--json", str(risky)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == 1
    assert told["findings"][0]["line"] == 8
    assert main(["lint", "--format", "sarif", str(risky)]) == 1
    (written,) = json.loads(capsys.readouterr().out)["runs"]
    assert written["results"][0]["ruleId"] == "DUR101"
    assert {rule["helpUri"].partition("/blob/main/")[2] for rule in written["tool"]["driver"]["rules"]} == {
        rule.page for rule in RULES.values()
    }
    assert main(["lint", "--format", "github", str(risky)]) == 1
    assert capsys.readouterr().out.startswith("::warning file=")


def test_rules_are_listed_selected_and_ignored(risky: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--rules"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == list(RULES)
    assert main(["lint", "--rules", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == 0
    assert [rule["code"] for rule in told["rules"]] == list(RULES)
    for words, code in (
        (["--select", "DUR101"], 1),
        (["--select", "dur1"], 1),
        (["--select", "DUR2,DUR102"], 0),
        (["--ignore", "DUR101"], 0),
        (["--select", "DUR1", "--ignore", "DUR101"], 0),
    ):
        assert main(["lint", str(risky), *words]) == code
    capsys.readouterr()
    assert main(["lint", str(risky), "--json", "-o", str(risky.with_suffix(".json"))]) == 1
    assert capsys.readouterr().out == ""
    assert json.loads(risky.with_suffix(".json").read_text())["exit_code"] == 1


def test_linting_needs_no_boto3(risky: Path) -> None:
    code = (
        "import sys; sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        f"from durable_debugger.cli import main; sys.exit(main(['lint', {str(risky)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "DUR101" in done.stdout


def test_a_path_that_does_not_exist_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "nowhere.py"]) == 3
    assert "nowhere.py does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "told"), [("empty", "no Python files in "), ("book.ipynb", "is a notebook; move the handler to a module")]
)
def test_a_path_without_python_is_no_clean_one(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "book.ipynb").write_text('{"cells": []}')
    assert main(["lint", str(tmp_path / name)]) == 3
    assert told in capsys.readouterr().err


def test_a_rule_that_is_none_is_quoted_as_it_was_written(risky: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(risky), "--select", "clock"]) == 2
    assert "'clock' is not a rule" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["greet", "greet=", "=a:b", "greet=module"])
def test_a_function_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--function", text]) == 2
    assert "NAME=module:handler" in capsys.readouterr().err


def test_an_address_that_others_can_reach_needs_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0", "--store", ":memory:"]) == 3  # refused, which is tested
    assert "0.0.0.0" in capsys.readouterr().err


def test_a_served_function_is_invoked_with_boto3(tmp_path: Path) -> None:
    (tmp_path / "greeting.py").write_text(
        "from durable_execution import durable_execution\n\n\n"
        "@durable_execution\n"
        "async def greet(name, ctx):\n"
        "    return await ctx.step(lambda _: f'Hello {name}', name='greet')\n"
    )
    command = [sys.executable, "-m", "durable_debugger", "serve", "--port", "0", "--store", ":memory:"]
    server = subprocess.Popen(
        [*command, "--function", f"greet={tmp_path / 'greeting.py'}:greet"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"},
    )
    try:
        assert server.stderr is not None
        found = re.search(r"on (http://\S+);", server.stderr.readline())
        assert found
        client = boto3.client(
            "lambda", endpoint_url=found[1], region_name="us-east-1", config=Config(signature_version=UNSIGNED)
        )
        answer = client.invoke(FunctionName="greet:$LATEST", Payload=b'"Ada"')
        assert json.loads(answer["Payload"].read()) == "Hello Ada"
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
        if server.stderr is not None:
            server.stderr.close()
