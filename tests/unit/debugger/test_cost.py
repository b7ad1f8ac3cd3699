"""Estimates of costs. The five bills were computed by hand, from the prices of 2026-09-20 for us-east-1."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from durable_debugger.model.cost import CostTerms, PriceError, Prices, Usage, dollars, read_prices, usage_of
from durable_execution.history.reading import read_history
from tests.tui.recordings import order_recording

CENT = Decimal("0.01")
START = datetime(2026, 9, 1, tzinfo=UTC)

BILLS = [
    # A million small executions: 5 operations, 2 invocations of 100 ms and 1 KiB each, 128 MB, kept 14 days.
    #   5 M operations * $8.00 / M = $40.00; 1,000,000 KiB = 0.95367 GB * $0.25 = $0.2384
    #   0.95367 GB * $0.15 * 14/30 = $0.0668; 2 M requests * $0.20 / M = $0.40
    #   200,000 s * 0.125 GB * $0.0000166667 = $0.4167; together $41.12
    (Usage(5_000_000, 1_024_000_000, 2_000_000, 200_000.0), 128, 14, "41.12"),
    # One large execution: 3,000 operations with 100 MiB, 500 invocations of 2 s, 1,024 MB, kept 90 days.
    #   3,000 * $8.00 / M = $0.024; 100 MiB = 0.09765625 GB * $0.25 = $0.0244; * $0.15 * 3 = $0.0439
    #   500 * $0.20 / M = $0.0001; 1,000 s * 1 GB * $0.0000166667 = $0.0167; together $0.11
    (Usage(3_000, 100 * 2**20, 500, 1_000.0), 1_024, 90, "0.11"),
    # A night of agents: 10,000 executions with 60 operations, 200 KiB, 25 invocations of 3 s, 2,048 MB, kept 30 days.
    #   600,000 * $8.00 / M = $4.80; 10,000 * 200 KiB = 1.90735 GB * $0.25 = $0.4768; * $0.15 * 1 = $0.2861
    #   250,000 * $0.20 / M = $0.05; 750,000 s * 2 GB * $0.0000166667 = $25.00; together $30.61
    (Usage(600_000, 10_000 * 200 * 1_024, 250_000, 750_000.0), 2_048, 30, "30.61"),
    # Waits only: 100,000 executions with one wait, two invocations of 20 ms, no data, 128 MB.
    #   100,000 * $8.00 / M = $0.80; 200,000 * $0.20 / M = $0.04; 4,000 s * 0.125 * $0.0000166667 = $0.0083; together $0.85
    (Usage(100_000, 0, 200_000, 4_000.0), 128, 14, "0.85"),
    # The same waits, with the start of each execution, 8 KiB written at once, and a week until they end.
    #   200,000 * $8.00 / M = $1.60; 100,000 * 8 KiB = 0.76294 GB * $0.25 = $0.1907
    #   0.76294 GB * (7 + 14)/30 * $0.15 = $0.0801; $0.04 and $0.0083 as before; together $1.92
    (Usage(100_000, 819_200_000, 200_000, 4_000.0, 0, 819_200_000 * 7.0, 100_000), 128, 14, "1.92"),
    # Nothing.
    (Usage(), 10_240, 90, "0.00"),
]


@pytest.mark.parametrize(("usage", "memory_mb", "retention_days", "by_hand"), BILLS)
def test_bills_computed_by_hand(usage: Usage, memory_mb: int, retention_days: int, by_hand: str) -> None:
    total = CostTerms(memory_mb=memory_mb, retention_days=retention_days).total(usage)
    assert total.quantize(CENT) == Decimal(by_hand)


def test_the_example_of_awss_price_list() -> None:
    """A million claims a month, as on AWS's page in September 2026: $490.46 after the free tier, which estimates leave out.

    1 M * (1 start + 2 steps + 1 wait) * $8.00 / M = $32.00; 104 GB * $0.25 = $26.00; 104 GB * (7 + 14)/30 * $0.15 = $10.92
    2 M requests * $0.20 / M = $0.40, of them $0.20 free; 32 M s with 1 GB on ARM * $0.0000133334 = $426.67, of them $5.33 free
    """
    written = 104 * 2**30
    usage = Usage(3_000_000, written, 2_000_000, 32_000_000.0, byte_days=written * 7.0, executions=1_000_000)
    bill = CostTerms(replace(Prices(), per_gb_second=Decimal("0.0000133334")), 1_024, 14).bill(usage)
    assert (bill.operations, bill.data) == (Decimal(32), Decimal(26))
    assert bill.retention.quantize(CENT) == Decimal("10.92")
    free = Decimal("0.20") + 400_000 * Decimal("0.0000133334")
    assert (bill.total - free).quantize(CENT) == Decimal("490.46")


def test_a_bill_from_a_history_to_the_millionth_of_a_dollar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two steps and a wait of a week, 1,024 MB; 8,000 bytes go in, 32,000 come from each step, and 4 from the handler.

    4 operations * $8.00 / M = $0.000032; 72,004 bytes = 0.00006705895 GB * $0.25 = $0.0000167647
    0.00006705895 GB * (7.00003 + 14)/30 * $0.15 = $0.0000070412; 2 requests * $0.20 / M = $0.0000004
    (1.5 + 1.25) s * 1 GB * $0.0000166667 = $0.0000458334; together $0.000102
    """
    week = 7 * 86_400

    def invocation(start: float, end: float) -> dict[str, Any]:
        times = {"StartTimestamp": START + timedelta(seconds=start), "EndTimestamp": START + timedelta(seconds=end)}
        return _event("InvocationCompleted", end, InvocationCompletedDetails=times)

    def step(name: str, seconds: float) -> list[dict[str, Any]]:
        done = {"Result": {"Payload": f'"{"x" * 31_998}"'}}
        ended = _event("StepSucceeded", seconds + 1, Id=name, Name=name, StepSucceededDetails=done)
        return [_event("StepStarted", seconds, Id=name, Name=name), ended]

    events = [
        _event("ExecutionStarted", 0, Id="x", ExecutionStartedDetails={"Input": {"Payload": f'"{"x" * 7_998}"'}}),
        *step("analyse", 0),
        _event("WaitStarted", 1, Id="w", WaitStartedDetails={"Duration": week}),
        invocation(0, 1.5),
        _event("WaitSucceeded", 1 + week, Id="w"),
        *step("pay", 1 + week),
        invocation(1 + week, 2.25 + week),
        _event("ExecutionSucceeded", 2 + week, ExecutionSucceededDetails={"Result": {"Payload": "null"}}),
    ]
    path = tmp_path / "claim.json"
    path.write_text(json.dumps({"Events": events}, default=str))
    assert main(["show", str(path), "--cost", "--memory", "1024", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    by_hand = {"operations": "0.000032", "data": "0.0000167647", "retention": "0.0000070412", "requests": "0.0000004"}
    for item, amount in {**by_hand, "duration": "0.0000458334"}.items():
        assert Decimal(report["amounts"][item]).quantize(Decimal("1e-10")) == Decimal(amount), item
    assert dollars(Decimal(report["amounts"]["total"])) == "$0.000102"
    assert main(["fleet", str(tmp_path), "--json", "--memory", "1024"]) == 0
    fleet = json.loads(capsys.readouterr().out)
    assert Decimal(fleet["cost_estimate"]["total_usd"]) == Decimal(report["amounts"]["total"])


def _event(kind: str, seconds: float, **members: Any) -> dict[str, Any]:
    return {"EventType": kind, "EventTimestamp": (START + timedelta(seconds=seconds)).isoformat(), **members}


def _small_execution() -> list[dict[str, Any]]:
    def invocation(start: float, end: float) -> dict[str, Any]:
        times = {"StartTimestamp": START + timedelta(seconds=start), "EndTimestamp": START + timedelta(seconds=end)}
        return _event("InvocationCompleted", end, InvocationCompletedDetails=times)

    return [
        _event("ExecutionStarted", 0, Id="x", ExecutionStartedDetails={"Input": {"Payload": "{}"}}),
        _event("StepStarted", 0, Id="a", Name="a"),
        _event("StepSucceeded", 1, Id="a", Name="a", StepSucceededDetails={"Result": {"Payload": '"é"'}}),
        _event("WaitStarted", 1, Id="w", WaitStartedDetails={"Duration": 60}),
        invocation(0, 1.5),
        _event("WaitSucceeded", 61, Id="w"),
        _event("StepStarted", 61, Id="b", Name="b"),
        _event("StepSucceeded", 62, Id="b", Name="b", StepSucceededDetails={"Result": {"Payload": "12"}}),
        invocation(61, 62.25),
        _event("ExecutionSucceeded", 62, ExecutionSucceededDetails={"Result": {"Payload": "null"}}),
    ]


def test_usage_is_read_from_a_history() -> None:
    usage = usage_of(read_history(_small_execution()))
    assert (usage.operations, usage.invocations, usage.seconds) == (3, 2, 2.75)
    assert usage.bytes_written == len('{}"é"12null'.encode())
    assert usage.replayed == 2, "the second invocation replays the step and the wait"
    assert usage.replayed_share == pytest.approx(0.4)


def test_prices_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"date": "2027-01-01", "region": "eu-west-1", "per_million_operations": 10}')
    prices = read_prices(path)
    assert prices == replace(Prices(), date="2027-01-01", region="eu-west-1", per_million_operations=Decimal(10))
    assert CostTerms(prices).total(Usage(operations=1_000_000)) == 10


@pytest.mark.parametrize("text", ["[]", '{"per_hour": 1}', '{"per_gb_written": "1"}', '{"per_gb_written": -1}', "{"])
def test_a_table_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(PriceError, match=r"prices\.json"):
        read_prices(path)


def test_show_cost_prints_an_estimate_with_a_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "order.json"
    path.write_text(json.dumps(order_recording().events, default=str))
    assert main(["show", str(path), "--cost", "--memory", "512"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Estimate $")
    assert "at the prices of 2026-09-20" in printed
    assert "512 MB" in printed
    assert main(["show", str(path), "--cost", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["is_estimate"]
    assert Decimal(report["amounts"]["total"]) == sum(
        Decimal(amount) for name, amount in report["amounts"].items() if name != "total"
    )
    assert main(["show", str(path), "--cost", "--memory", "0"]) == 2


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("1234.5", "$1,234.50"),
        ("0.0123", "$0.01"),
        ("0.00042", "$0.000420"),
        ("0.0000001", "<$0.000001"),
    ],
)
def test_amounts_are_readable(amount: str, shown: str) -> None:
    assert dollars(Decimal(amount)) == shown
