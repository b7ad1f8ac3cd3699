"""Fleets: planted faults are found as groups, and what is printed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from durable_debugger.model.fleet_facts import FactReader, folded
from durable_debugger.sources import fleet_source
from durable_execution import CallbackConfig, DurableContext, RetryDecision, StepConfig, durable_execution
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.retry import RetryPresets

ONCE = StepConfig(retry_strategy=RetryPresets.none())
HEALTHY, PLANTED = 40, 8

CODE = '''
from datetime import timedelta
from durable_execution import durable_execution, StepConfig
from durable_execution.retry import RetryPresets

ONCE = StepConfig(retry_strategy=RetryPresets.none())

@durable_execution
async def orders(event, ctx):
    """The next version: orders with a review get a second one."""
    await ctx.step(lambda _: 1, "validate")
    if event.get("fault") == "review":
        await ctx.step(lambda _: 1, "{name}")
    if event.get("fault") == "approval":
        await (await ctx.create_callback("approval")).result()
    if event.get("fault") == "stuck":
        await ctx.wait(timedelta(days=30), "payment_term")
    await ctx.map(list(range(event["lines"])), lambda c, i, n: c.step(lambda _: 1, f"line-{{i}}"), "lines")
    if event.get("fault") in ("declined", "timeout"):
        await ctx.step(lambda _: 1, "charge", config=ONCE)
    await ctx.step(lambda _: 1, "charge")
    return "done"
'''


def failing(message: str, kind: type[Exception]) -> Callable[[Any], Any]:
    def body(_: Any) -> Any:
        raise kind(message)

    return body


@durable_execution
async def orders(event: dict[str, Any], ctx: DurableContext) -> str:
    number, fault = event["id"], event.get("fault")
    await ctx.step(lambda _: 1, "validate")
    if fault == "review":
        await ctx.step(lambda _: 1, "review")
    if fault == "approval":
        await (await ctx.create_callback("approval")).result()
    if fault == "stuck":
        await ctx.wait(timedelta(days=30), "payment_term")
    await ctx.map(list(range(event["lines"])), lambda c, i, n: c.step(lambda _: 1, f"line-{i}"), "lines")
    if fault == "declined":
        await ctx.step(failing(f"card of order {number} declined", ValueError), "charge", config=ONCE)
    if fault == "timeout":
        await ctx.step(failing(f"no answer after {number} ms", TimeoutError), "charge", config=ONCE)
    await ctx.step(lambda _: 1, "charge")
    return "done"


FAULTS = ("review", "approval", "stuck", "declined", "timeout")


@dataclass
class Planted:
    """A store with healthy executions and five planted faults."""

    directory: Path
    arns: dict[str, list[str]]

    @property
    def store(self) -> str:
        return str(self.directory / "store.db")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    directory = tmp_path_factory.mktemp("fleet")
    arns: dict[str, list[str]] = {fault: [] for fault in ("", *FAULTS)}
    with LocalEngine(directory / "store.db", time="skip", ids=CountingIds(), trace_sink=False) as engine:
        engine.register("orders", orders)
        for number in range(HEALTHY + PLANTED * len(FAULTS)):
            fault = FAULTS[number % len(FAULTS)] if number < PLANTED * len(FAULTS) else ""
            event = {"id": 1000 + 17 * number, "lines": 2 + number % 3, "fault": fault}
            arns[fault].append(engine.start("orders", event))
        engine.run_until_idle(skips="nothing")
    return Planted(directory, arns)


def fleet(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert main(["fleet", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def counts(report: Any, kind: str) -> dict[str, int]:
    return {group["key"]: group["count"] for group in report["groups"][kind]}


def test_five_planted_faults_are_five_groups(planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    report = fleet(capsys, planted.store)
    assert report["executions"] == HEALTHY + 5 * PLANTED
    assert counts(report, "failures") == {
        "ValueError at charge: card of order # declined": PLANTED,
        "TimeoutError at charge: no answer after # ms": PLANTED,
    }
    assert counts(report, "waiting") == {"callback approval": PLANTED, "timer payment_term": PLANTED}
    shapes = counts(report, "shapes")
    assert shapes["validate, lines(#(line-#)), charge"] == HEALTHY + 2 * PLANTED, "however many lines an order has"
    assert shapes["validate, review, lines(#(line-#)), charge"] == PLANTED
    assert sum(shapes.values()) == report["executions"]
    leaving = {group["key"]: group["leaves_majority"] for group in report["groups"]["shapes"]}
    assert leaving["validate, review, lines(#(line-#)), charge"] == "calls review in place of lines"
    assert counts(report, "versions") == {"$LATEST": report["executions"]}
    assert report["groups"]["shapes"][0]["seconds"].keys() == {"p50", "p90", "p99"}
    assert float(report["cost_estimate"]["total_usd"]) > 0


def test_a_folder_gives_the_same_groups_as_the_store(
    planted: Planted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LocalEngine(planted.store, trace_sink=False) as engine:
        for number, arn in enumerate(arn for arns in planted.arns.values() for arn in arns):
            events = engine.client.get_durable_execution_history(DurableExecutionArn=arn, IncludeExecutionData=True)
            document = {"DurableExecutionArn": arn, "Events": events["Events"][:: -1 if number % 2 else 1]}
            (tmp_path / f"{number}.json").write_text(json.dumps(document, default=str))
    (tmp_path / "broken.json").write_text("{")
    found, expected = fleet(capsys, str(tmp_path)), fleet(capsys, planted.store)
    for kind in ("shapes", "failures", "waiting", "versions"):
        assert counts(found, kind) == counts(expected, kind)
    assert [one["reference"].rpartition("/")[2] for one in found["unreadable"]] == ["broken.json"]


def test_filters(planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet(capsys, planted.store, "--status", "failed")["statuses"] == {"FAILED": 2 * PLANTED}
    assert fleet(capsys, planted.store, "--limit", "7")["executions"] == 7
    assert fleet(capsys, planted.store, "--since", "2w")["executions"] == HEALTHY + 5 * PLANTED
    assert fleet(capsys, "orders", "--store", planted.store)["executions"] == HEALTHY + 5 * PLANTED


def test_a_handler_groups_by_root_divergence(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "same.py").write_text(CODE.format(name="review"))
    (tmp_path / "next.py").write_text(CODE.format(name="second_review").replace('"approval")', '"consent")'))
    words = (planted.store, "--limit", "40", "--no-cause", "--jobs", "1")
    same = fleet(capsys, *words, "same.py:orders", "--status", "running")
    assert (same["replayed"], same["would_break"], counts(same, "divergences")) == (16, 0, {})
    assert main(["fleet", planted.store, "next.py:orders", "--status", "running", "--no-cause", "--jobs", "1"]) == 1
    printed = capsys.readouterr().out
    assert f"{PLANTED} of {2 * PLANTED} open executions would break, all at approval, next.py:15" in printed


def test_the_tables(planted: Planted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["fleet", planted.store]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("80 executions  local store")
    for heading in ("Shapes", "Failures", "Waiting", "Versions"):
        assert f"\n{heading}  " in printed
    assert "cost is an estimate, at the prices of 2026-09-20" in printed


def test_interrupted_it_shows_what_was_read(
    planted: Planted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = fleet_source._history

    def interrupted(client: Any, arn: str) -> Any:
        interrupted.reads += 1  # type: ignore[attr-defined]
        if interrupted.reads > 5:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return read(client, arn)

    interrupted.reads = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(fleet_source, "_history", interrupted)
    report = fleet(capsys, planted.store, "--no-cache", code=130)
    assert (report["executions"], report["is_partial"]) == (5, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--since", "yesterday"], 2, "expected a number with a unit"),
        (["--since", "999999999999w"], 2, "expected a number with a unit"),
        (["--limit", "-3"], 2, "is not a whole number from 1"),
        (["--seconds", "nan"], 2, "is not a number of seconds"),
        (["--status", "happy"], 2, "--status must be one of"),
        (["--prices", "none.json"], 3, "cannot read the prices"),
    ],
)
def test_bad_options_are_said(
    planted: Planted, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fleet", planted.store, *words]) == code
    assert said in capsys.readouterr().err


def test_a_folder_without_histories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", str(tmp_path)]) == 0
    assert "no executions in folder" in capsys.readouterr().err
    (tmp_path / "broken.json").write_text("[1]")
    assert main(["fleet", str(tmp_path)]) == 3
    assert "1 could not be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("order 17 failed", "order # failed"),
        ("order A-1001 failed at 2026-11-28T22:10:03Z", "order # failed at #"),
        ("user 8f14e45f-ceea-467f-a8d6-1f0b4f7b0a55 unknown", "user # unknown"),
        ("no stock", "no stock"),
        ("balance is -5.20 EUR", "balance is # EUR"),
        ("balance is 1,234,567 EUR", "balance is # EUR"),
        ("items [1, 2, 3] are gone", "items [#] are gone"),
        ("expired on Sun, 29 Nov 2026 12:00:01 GMT", "expired on # GMT"),
        ("due December 3, 2025", "due #"),
        ("it may 5 fail", "it may # fail"),
        ("at call 5: skipped, 3.", "at call #: skipped, #."),
        ("2 errors for Order\n  amount", "# errors for Order amount"),
    ],
)
def test_numbers_and_ids_are_folded(message: str, shown: str) -> None:
    assert folded(message) == shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("HTTP 503 for order A-17", "HTTP 503 for order #"),
        ("503 Server Error: Service Unavailable for url: /o/17", "503 Server Error: Service Unavailable for url: /o/#"),
        ("Client error '404 Not Found' for url '/o/17'", "Client error '404 Not Found' for url '/o/#'"),
        ("404, message='Not Found', url='/o/17'", "404, message='Not Found', url='/o/#'"),
        ("HTTP Error 404: Not Found", "HTTP Error 404: Not Found"),
        (
            "An error occurred (429) when calling Invoke (17 retries)",
            "An error occurred (429) when calling Invoke (# retries)",
        ),
        ("the gateway answered 502 for order 502", "the gateway answered 502 for order #"),
        ("statusCode=500, request 7f3a2b1c", "statusCode=500, request #"),
        ("exit code 137", "exit code 137"),
        ("[Errno 111] Connection refused", "[Errno 111] Connection refused"),
        ("SQLSTATE 23505 in row 17", "SQLSTATE 23505 in row #"),
        ("ORA-00942: no table 17", "ORA-00942: no table #"),
        ("order 404 declined", "order # declined"),
        ("order 429 Conflict", "order # Conflict"),
        ("got 500 items", "got # items"),
        ("timed out after 503 seconds", "timed out after # seconds"),
        ("postal code 10115 of customer 17", "postal code # of customer #"),
        ("status 20264711 of parcel", "status # of parcel"),
    ],
)
def test_codes_of_errors_stay_and_numbers_of_orders_do_not(message: str, shown: str) -> None:
    assert folded(message) == shown


def fails_with(message: str) -> Callable[[Any], Any]:
    return failing(message, RuntimeError)


@durable_execution
async def parcels(event: dict[str, Any], ctx: DurableContext) -> str:
    number, fault = event["id"], event["fault"]
    status = {"unavailable": 503, "unknown": 404}.get(fault)
    await ctx.step(lambda _: number, f"weigh-{number}")
    if status is not None:
        await ctx.step(fails_with(f"HTTP {status} for parcel {number}"), "book", config=ONCE)
    await ctx.step(lambda _: "booked", "book")

    async def label(branch: DurableContext, item: int, _index: int) -> str:
        body = fails_with(f"printer {number}-{item} is out of paper") if fault == "paper" and item else lambda _: "ok"
        return await branch.step(body, f"label-{item}", config=ONCE)

    (await ctx.map(list(range(3)), label, "labels")).throw_if_error()
    if fault == "lost":
        config: CallbackConfig[str] = CallbackConfig(heartbeat_timeout=timedelta(hours=1))
        await (await ctx.create_callback(f"delivered-{number}", config=config)).result()
    if fault == "storm":
        again = StepConfig(retry_strategy=lambda _error, _attempt: RetryDecision.retry(timedelta(seconds=1)))
        await ctx.step(fails_with(f"pickup {number} refused"), "pickup", config=again)
    return "sent"


def test_five_faults_of_parcels_are_five_groups_also_if_they_differ_in_a_code_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers of parcels are 400 to 635, so some of them are HTTP statuses as well."""
    faults = ("unavailable", "unknown", "paper", "lost", "storm")
    with LocalEngine(tmp_path / "parcels.db", time="skip", ids=CountingIds(), trace_sink=False) as engine:
        engine.register("parcels", parcels)
        for number in range(48):
            fault = faults[number % 8] if number % 8 < len(faults) else ""
            engine.start("parcels", {"id": 400 + 5 * number, "fault": fault})
        for _ in range(12):
            engine.run_until_idle(skips="nothing")
            engine.advance(timedelta(seconds=1))
    report = fleet(capsys, str(tmp_path / "parcels.db"))
    assert counts(report, "failures") == {
        "RuntimeError at book: HTTP 503 for parcel #": 6,
        "RuntimeError at book: HTTP 404 for parcel #": 6,
        "RuntimeError at labels/label-#: printer # is out of paper": 6,
    }
    assert counts(report, "waiting") == {"callback delivered-#": 6, "retry storm at pickup": 6}


@durable_execution
async def first_answer(event: dict[str, Any], ctx: DurableContext) -> Any:
    async def ask(name: str) -> Any:
        return await (await ctx.create_callback(name)).result()

    async def block(child: DurableContext, _attempt: int) -> Any:
        return await child.step(failing("busy", ConnectionError), "book", config=ONCE)

    await ctx.race(ask("slow"), ctx.step(lambda _: 1, "fast"))
    if event["n"] % 2:
        return await ctx.with_retry(block, "trip")
    return await ctx.wait(timedelta(hours=1), "cool")


class Reading:
    """Counts the histories that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        read = FactReader.read

        def counting(reader: FactReader, *events: Any, **options: Any) -> Any:
            self.count += 1
            return read(reader, *events, **options)

        monkeypatch.setattr(FactReader, "read", counting)

    def taken(self) -> int:
        count, self.count = self.count, 0
        return count


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reading:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Reading(monkeypatch)


def test_a_second_look_reads_what_has_changed(
    tmp_path: Path, reading: Reading, capsys: pytest.CaptureFixture[str]
) -> None:
    with LocalEngine(tmp_path / "races.db", time="skip", ids=CountingIds(), trace_sink=False) as engine:
        engine.register("first_answer", first_answer)
        for _ in range(3):
            engine.start("first_answer", {"n": 0})
        engine.run_until_idle(skips="nothing")
        first = fleet(capsys, str(tmp_path / "races.db"))
        assert reading.taken() == 3
        assert fleet(capsys, str(tmp_path / "races.db")) == first
        assert reading.taken() == 0
        engine.advance(timedelta(hours=2))
        engine.start("first_answer", {"n": 0})
        engine.run_until_idle(skips="nothing")
        assert fleet(capsys, str(tmp_path / "races.db"))["statuses"] == {"SUCCEEDED": 3, "RUNNING": 1}
        assert reading.taken() == 4
    assert fleet(capsys, str(tmp_path / "races.db"), "--no-cache")["executions"] == 4
    assert reading.taken() == 4


def test_a_second_look_at_a_folder_reads_files_that_changed(
    planted: Planted, tmp_path: Path, reading: Reading, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "histories"
    folder.mkdir()
    for number, arn in enumerate(planted.arns["declined"]):
        assert (
            main(["export", arn, "--to", "json", "-o", str(folder / f"{number}.json"), "--store", planted.store]) == 0
        )
    capsys.readouterr()
    first = fleet(capsys, str(folder))
    assert reading.taken() == PLANTED
    assert fleet(capsys, str(folder)) == first
    assert reading.taken() == 0
    file = folder / "0.json"
    file.write_text(file.read_text().replace("declined", "refused"))
    assert set(counts(fleet(capsys, str(folder)), "failures").values()) == {1, PLANTED - 1}
    assert reading.taken() == 1


def test_no_secret_is_kept_and_a_damaged_cache_is_no_obstacle(
    tmp_path: Path, reading: Reading, capsys: pytest.CaptureFixture[str]
) -> None:
    @durable_execution
    async def leaking(_: Any, ctx: DurableContext) -> None:
        await ctx.step(failing("refused: password=correcthorse", ValueError), "log-in", config=ONCE)

    store = tmp_path / "leaks.db"
    with LocalEngine(store, time="skip", trace_sink=False) as engine:
        engine.register("leaking", leaking)
        engine.run("leaking")
    fleet(capsys, str(store), "--show-secrets")
    cache = tmp_path / "cache" / "durable-debug" / "fleet.db"
    assert not cache.exists()
    fleet(capsys, str(store))
    assert b"correcthorse" not in cache.read_bytes()
    assert cache.stat().st_mode & 0o077 == 0
    shown = fleet(capsys, str(store), "--show-secrets")
    assert "correcthorse" in shown["groups"]["failures"][0]["key"]
    cache.write_bytes(b"damaged" * 1000)
    reading.taken()
    assert fleet(capsys, str(store))["executions"] == 1
    assert reading.taken() == 1


def test_what_was_left_behind_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LocalEngine(tmp_path / "races.db", time="skip", ids=CountingIds(), trace_sink=False) as engine:
        engine.register("first_answer", first_answer)
        for number in range(4):
            engine.start("first_answer", {"n": number})
        engine.run_until_idle(skips="nothing")
    assert counts(fleet(capsys, str(tmp_path / "races.db")), "waiting") == {"timer cool": 2, "retry trip": 2}


def test_secrets_in_messages_are_hidden(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = {"Payload": {"ErrorType": "AuthError", "ErrorMessage": "password=hunter is wrong"}}
    events = [
        {"EventType": "ExecutionStarted", "EventTimestamp": 1, "Id": "x"},
        {"EventType": "ExecutionFailed", "EventTimestamp": 2, "ExecutionFailedDetails": {"Error": error}},
    ]
    (tmp_path / "a.json").write_text(json.dumps(events))
    (key,) = counts(fleet(capsys, str(tmp_path)), "failures")
    assert "hunter" not in key
    (key,) = counts(fleet(capsys, str(tmp_path), "--show-secrets"), "failures")
    assert "hunter" in key
