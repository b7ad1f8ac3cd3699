"""The examples for Jaeger and X-Ray: what is deployed is valid, what is run sends, and pictures show spans that exist."""

import itertools
import re
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from durable_execution.telemetry.settings import ENDPOINT, VIEW, VIEWS
from tests.unit.telemetry.receiver import Collector, collector

JAEGER, XRAY, PHOENIX, DEPLOY = "examples/jaeger", "examples/xray", "examples/phoenix", "examples/deploy"
RUN_AS_LAMBDA_DOES = """
import importlib, sys
module, _, name = sys.argv[1].rpartition(".")
handler = getattr(importlib.import_module(module), name)
from durable_execution.local import run
print(run(handler, {"order_id": "A-17"}, store=None, time="skip").result)
"""


class Template(yaml.SafeLoader):
    """Reads CloudFormation's short forms as what stands behind them."""


Template.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_scalar(node))


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    known = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=known, check=False, cwd=environment.get("PWD")
    )


def function(repository: Path) -> Any:
    text = (repository / XRAY / "template.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Template)["Resources"]["ProcessOrder"]["Properties"]  # a SafeLoader


def drawn(page: Path) -> set[str]:
    """The names in a page's picture."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found = (re.match(r"(?:[│ ]*[├└]─ )(?P<name>\S+(?: [a-z0-9]+)*)", line) for line in lines)
    root = next(before for before, line in itertools.pairwise(lines) if line.startswith("├─ ")).split()[0]
    return {match["name"] for match in found if match} | {root}


@pytest.fixture(scope="module")
def order(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Collector:
    """What arrives when the example for Jaeger is run."""
    with collector() as received:
        folder = str(tmp_path_factory.mktemp("order"))
        done = run(
            str(repository / JAEGER / "traced_order.py"), OTEL_EXPORTER_OTLP_ENDPOINT=received.endpoint, PWD=folder
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == "charged 28.70"
        return received


@pytest.mark.acceptance
@pytest.mark.real_time
def test_the_example_for_phoenix_sends_what_its_page_counts(repository: Path, tmp_path: Path) -> None:
    with collector() as received:
        script = str(repository / PHOENIX / "three_orders.py")
        done = run(script, OTEL_EXPORTER_OTLP_ENDPOINT=received.endpoint, PWD=str(tmp_path))
        assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["FAILED", "TIMED_OUT", "SUCCEEDED"]
    page = (repository / PHOENIX / "README.md").read_text(encoding="utf-8")
    counted = [int(count) for count in re.findall(r"^\| `.*?\| (\d+) spans", page, re.MULTILINE)]
    ids = {(span.trace_id, span.span_id): span for span in received.spans}
    assert len(ids) == len(received.spans) == sum(counted)
    assert sorted(Counter(trace for trace, _ in ids).values()) == sorted(counted)
    roots = [span for span in received.spans if span.parent_span_id is None]
    assert sorted((span.name, span.status) for span in roots) == [
        ("failed_order", "ERROR"), ("long_order", "OK"), ("long_order", "OK"),
    ]  # fmt: skip


@pytest.mark.acceptance
@pytest.mark.real_time
def test_the_example_for_jaeger_sends_one_tree(order: Collector) -> None:
    assert {span.service_name for span in order.spans} == {"orders"}
    assert len({span.trace_id for span in order.spans}) == 1
    known = {span.span_id for span in order.spans}
    assert [span.name for span in order.spans if span.parent_span_id not in known] == ["traced_order"]
    assert len(order.named("Invocation")) == 3
    assert [span.status for span in order.named("charge attempt 1")] == ["ERROR"]
    assert [span.status for span in order.named("charge")] == ["OK"]


@pytest.mark.acceptance
@pytest.mark.real_time
def test_the_picture_for_jaeger_shows_every_span(order: Collector, repository: Path) -> None:
    assert drawn(repository / JAEGER / "README.md") == {span.name for span in order.spans}


def test_jaeger_listens_where_spans_are_sent(repository: Path) -> None:
    jaeger = yaml.safe_load((repository / JAEGER / "compose.yaml").read_text(encoding="utf-8"))["services"]["jaeger"]
    port = ENDPOINT.default.partition(",")[0].rpartition(":")[2]
    assert f"127.0.0.1:{port}:{port}" in jaeger["ports"]
    assert re.fullmatch(r".+:\d+\.\d+\.\d+", jaeger["image"]), "a pinned version"


@pytest.mark.acceptance
def test_the_templates_are_valid_and_one_that_is_not_is_refused(repository: Path, tmp_path: Path) -> None:
    # All in one process: cfn-lint takes seconds to start.
    templates = [repository / folder / "template.yaml" for folder in (XRAY, f"{DEPLOY}/sam")]
    wrong = tmp_path / "template.yaml"
    wrong.write_text(templates[0].read_text(encoding="utf-8").replace("DurableConfig:", "DurableSettings:"), "utf-8")
    program = str(Path(sys.executable).with_name("cfn-lint"))
    command = [
        program,
        "--non-zero-exit-code",
        "informational",
        "--format",
        "parseable",
        *map(str, [*templates, wrong]),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (finding,) = done.stdout.splitlines()
    assert finding.startswith(str(wrong)), done.stdout
    assert "DurableSettings" in finding


def test_the_template_asks_for_what_spans_need(repository: Path) -> None:
    known = function(repository)
    variables = known["Environment"]["Variables"]
    assert known["Tracing"] == "Active"
    assert known["Layers"] == ["TelemetryLayer"]
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/otel-instrument"
    assert variables[VIEW.name] in VIEWS
    assert 1 <= known["DurableConfig"]["ExecutionTimeout"] <= 31_622_400
    assert 1 <= known["DurableConfig"]["RetentionPeriodInDays"] <= 90
    assert [policy.rpartition("/")[2] for policy in known["Policies"]] == [
        "AWSLambdaBasicDurableExecutionRolePolicy",
        "AWSXRayDaemonWriteAccess",
    ]


def test_the_handler_of_the_template_runs(repository: Path) -> None:
    handler = function(repository)["Handler"]
    done = run("-c", RUN_AS_LAMBDA_DOES, handler, PYTHONPATH=str(repository / XRAY))
    assert done.stdout == "{'payment': 'pay_A-17', 'shipment': 'ship_A-17'}\n", done.stderr


def test_the_example_for_xray_is_a_script(repository: Path, tmp_path: Path) -> None:
    done = run(str(repository / XRAY / "process_order.py"), PWD=str(tmp_path))
    assert done.stdout == "{'payment': 'pay_A-17', 'shipment': 'ship_A-17'}\n", done.stderr


def test_the_picture_for_xray_shows_every_span(repository: Path, tmp_path: Path) -> None:
    read_spans = import_module("durable_execution.telemetry.span_store").read_spans
    run(str(repository / XRAY / "process_order.py"), PWD=str(tmp_path), **{VIEW.name: "invocation"})
    (file,) = (tmp_path / ".durable" / "spans").iterdir()
    sent = {span.name for span in read_spans(file)}
    assert drawn(repository / XRAY / "README.md") == sent
