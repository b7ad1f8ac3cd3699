"""Twelve broken executions of different kinds, recorded on the local engine: what a stranger on call has to explain.

Each case is code that made a recording, and the code of today. Both are written to the same file, as when a colleague
edited the handler while an execution was in progress.
"""

import importlib.util
import json
import linecache
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durable_execution.local import CountingIds, LocalEngine
from durable_execution.trace.sinks import MemorySink

HEAD = """
from datetime import UTC, datetime, timedelta

from durable_execution import CallbackConfig, DurableContext, RetryPresets, StepConfig, StepContext, durable_execution, durable_step


class GatewayDownError(Exception):
    pass


@durable_step
def reserve(step: StepContext, sku: str = "A1") -> str:
    return f"reserved {sku}"


@durable_step
def charge(step: StepContext, amount: int = 5) -> str:
    return f"charged {amount}"


@durable_step
def charge_card(step: StepContext) -> str:
    raise GatewayDownError("503 from the gateway")


@durable_step
def ship(step: StepContext, parcel: str = "") -> str:
    return "shipped"


@durable_step
def audit(step: StepContext, what: object = None) -> str:
    return "audited"


@durable_step
def notify(step: StepContext, who: str = "") -> str:
    return f"told {who}"


"""


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken execution.

    Attributes:
        name: Name of the case, and of its file.
        recorded: The handler that made the recording.
        today: The handler of today; None where the recording itself shows what is wrong.
        payload: The execution's input.
        is_continued: Whether the recording goes on with today's code, so that it diverges at run time.
        is_waiting: Whether the recording stops where the execution waits.
    """

    name: str
    recorded: str
    today: str | None = None
    payload: Any = None
    is_continued: bool = False
    is_waiting: bool = False


def _order(body: str) -> str:
    return "@durable_execution\nasync def handler(order: dict, ctx: DurableContext) -> object:\n" + textwrap.indent(
        textwrap.dedent(body).strip(), "    "
    )


CASES = (
    Broken(
        "inserted",
        _order(
            'await ctx.step(reserve())\nawait ctx.step(charge())\nawait ctx.wait(timedelta(minutes=5), name="pause")\nreturn await ctx.step(ship())'
        ),
        _order(
            'await ctx.step(reserve())\nawait ctx.step(audit())\nawait ctx.step(charge())\nawait ctx.wait(timedelta(minutes=5), name="pause")\nreturn await ctx.step(ship())'
        ),
    ),
    Broken(
        "clock_branch",
        _order(
            """
            await ctx.step(reserve())
            if datetime.now(UTC) < datetime.fromisoformat(order["deadline"]):
                await ctx.step(charge(), name="charge_express")
            else:
                await ctx.step(charge(), name="charge_standard")
            return await ctx.step(ship())
            """
        ),
        payload={"deadline": "2020-01-01T00:00:00+00:00"},
        today=_order(
            """
            await ctx.step(reserve())
            if datetime.now(UTC) > datetime.fromisoformat(order["deadline"]):
                await ctx.step(charge(), name="charge_express")
            else:
                await ctx.step(charge(), name="charge_standard")
            return await ctx.step(ship())
            """
        ),
    ),
    Broken(
        "set_order",
        _order(
            """
            people = sorted({"ann", "bob", "cem", "dee"})
            async def tell(ctx: DurableContext, who: str) -> str:
                return await ctx.step(notify(who), name=f"notify_{who}")
            return (await ctx.map(people, tell, name="notify_all")).get_results()
            """
        ),
        _order(
            """
            people = sorted({"ann", "bob", "cem", "dee"}, reverse=True)
            async def tell(ctx: DurableContext, who: str) -> str:
                return await ctx.step(notify(who), name=f"notify_{who}")
            return (await ctx.map(people, tell, name="notify_all")).get_results()
            """
        ),
    ),
    Broken(
        "renamed_nested",
        _order(
            """
            async def email(ctx: DurableContext) -> str:
                await ctx.step(audit(), name="render")
                return await ctx.step(notify("ann"), name="send_email")
            async def sms(ctx: DurableContext) -> str:
                return await ctx.step(notify("bob"), name="send_sms")
            await ctx.parallel([email, sms], name="notify_all")
            return await ctx.step(ship())
            """
        ),
        _order(
            """
            async def email(ctx: DurableContext) -> str:
                await ctx.step(audit(), name="render")
                return await ctx.step(notify("ann"), name="send_mail")
            async def sms(ctx: DurableContext) -> str:
                return await ctx.step(notify("bob"), name="send_sms")
            await ctx.parallel([email, sms], name="notify_all")
            return await ctx.step(ship())
            """
        ),
    ),
    Broken(
        "moved_out_of_loop",
        _order(
            """
            for sku in order["skus"]:
                await ctx.step(reserve(sku))
                await ctx.step(audit(sku))
            return await ctx.step(ship())
            """
        ),
        _order(
            """
            for sku in order["skus"]:
                await ctx.step(reserve(sku))
            await ctx.step(audit(order["skus"]))
            return await ctx.step(ship())
            """
        ),
        payload={"skus": ["A1", "B2", "C3"]},
    ),
    Broken(
        "reordered",
        _order("await ctx.step(reserve())\nawait ctx.step(charge())\nreturn await ctx.step(ship())"),
        _order("await ctx.step(charge())\nawait ctx.step(reserve())\nreturn await ctx.step(ship())"),
    ),
    Broken(
        "closure",
        _order(
            """
            total = 0
            async def price(ctx: DurableContext, sku: str) -> str:
                nonlocal total
                total += 1
                return await ctx.step(charge(total), name=f"charge_{total}")
            await ctx.map(["A1", "B2"], price, name="price_all")
            if total > 1:
                await ctx.step(audit())
            return await ctx.step(ship())
            """
        ),
        _order(
            """
            total = 0
            async def price(ctx: DurableContext, sku: str) -> str:
                nonlocal total
                total += 1
                return await ctx.step(charge(total), name=f"charge_{total}")
            await ctx.map(["A1", "B2"], price, name="price_all")
            if total > 2:
                await ctx.step(audit())
            return await ctx.step(ship())
            """
        ),
    ),
    Broken(
        "changed_argument",
        _order(
            'await ctx.step(reserve())\nawait ctx.wait(timedelta(minutes=5), name="cooling_off")\nreturn await ctx.step(ship())'
        ),
        _order(
            'await ctx.step(reserve())\nawait ctx.wait(timedelta(hours=5), name="cooling_off")\nreturn await ctx.step(ship())'
        ),
    ),
    Broken(
        "exception_outside_step",
        _order(
            "parcel = await ctx.step(reserve())\nweight = int(parcel.split()[1])\nreturn await ctx.step(ship(str(weight)))"
        ),
    ),
    Broken(
        "stuck_on_callback",
        _order(
            'await ctx.step(reserve())\nhandle = await ctx.create_callback("approval", config=CallbackConfig(timeout=timedelta(days=1)))\nanswer = await handle.result()\nreturn await ctx.step(ship())'
        ),
        is_waiting=True,
    ),
    Broken(
        "retry_storm",
        _order(
            """
            await ctx.step(reserve())
            gateway = StepConfig(retry_strategy=RetryPresets.fixed(timedelta(seconds=2)))
            await ctx.step(charge_card(), config=gateway)
            return await ctx.step(ship())
            """
        ),
    ),
    Broken(
        "runtime_divergence",
        _order(
            'await ctx.step(reserve())\nawait ctx.step(charge())\nawait ctx.wait(timedelta(minutes=5), name="pause")\nreturn await ctx.step(ship())'
        ),
        _order(
            'await ctx.step(reserve())\nawait ctx.step(charge())\nawait ctx.step(audit())\nawait ctx.wait(timedelta(minutes=5), name="pause")\nreturn await ctx.step(ship())'
        ),
        is_continued=True,
        is_waiting=True,
    ),
)
"""All of them."""

TOLD = """
async def one(ctx: DurableContext) -> str:
    return await ctx.step(notify("ann"), name="tell_ann")
async def two(ctx: DurableContext) -> str:
    return await ctx.step(notify("bob"), name="tell_bob")
async def three(ctx: DurableContext) -> str:
    await ctx.step(audit())
    return await ctx.step(notify("cem"), name="tell_cem")
await ctx.parallel([{}], name="tell_all")
return await ctx.step(ship())
"""

COUNTED = _order(
    """
    missing = []
    def count(step: StepContext) -> int:
        missing.append("batteries")
        return 3
    await ctx.step(count, name="count_shelf")
    if missing:
        await ctx.step(charge(), name="order_more")
    else:
        await ctx.step(charge(), name="thank_supplier")
    await ctx.wait(timedelta(hours=8), name="until_morning")
    """
)

FURTHER = (
    Broken("closure_at_run_time", COUNTED, COUNTED, is_continued=True, is_waiting=True),
    Broken(
        "exception_in_item",
        """
def weight_of(text: str) -> float:
    number, unit = text.split(" ")
    return float(number) * {"kg": 1, "g": 0.001}[unit]


@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    async def weigh(ctx: DurableContext, parcel: str) -> float:
        text = await ctx.step(lambda _: parcel, name="read_scale")
        return weight_of(text)
    weights = await ctx.map(order["parcels"], weigh, name="weigh_all")
    weights.throw_if_error()
    return await ctx.step(ship())
""".strip(),
        payload={"parcels": ["1 kg", "2 lb"]},
    ),
    Broken(
        "exception_in_helper",
        """
def total_of(receipt: str, order: dict) -> int:
    return len(receipt) + order["shipping"]


@durable_execution
def handler(order: dict, ctx: DurableContext) -> object:
    receipt = ctx.step(charge())
    total = total_of(receipt, order)
    return ctx.step(ship(str(total)))
""".strip(),
        payload={"postage": 3},
    ),
    Broken(
        "stuck_in_wait_for_callback",
        _order(
            """
            async def ask(callback_id: str, step: StepContext) -> None:
                return None
            return await ctx.wait_for_callback(ask, name="manager_review")
            """
        ),
        is_waiting=True,
    ),
    Broken(
        "two_signatures",
        _order(
            """
            async def ask(ctx: DurableContext, who: str) -> str:
                handle = await ctx.create_callback(f"sign_{who}", config=CallbackConfig(timeout=timedelta(days=3)))
                return await handle.result()
            return (await ctx.map(["ann", "bob"], ask, name="signatures")).get_results()
            """
        ),
        is_waiting=True,
    ),
    Broken(
        "skipped_at_run_time",
        _order(
            'await ctx.step(reserve())\nif not order:\n    await ctx.step(audit(), name="manual_review")\nawait ctx.wait(timedelta(minutes=5), name="pause")\nreturn await ctx.step(ship())'
        ),
        _order(
            'await ctx.step(reserve())\nif order:\n    await ctx.step(audit(), name="manual_review")\nawait ctx.wait(timedelta(minutes=5), name="pause")\nreturn await ctx.step(ship())'
        ),
        is_continued=True,
        is_waiting=True,
    ),
    Broken(
        "moved_up",
        _order(
            "await ctx.step(reserve())\nawait ctx.step(charge())\nawait ctx.step(audit())\nreturn await ctx.step(ship())"
        ),
        _order(
            "await ctx.step(audit())\nawait ctx.step(reserve())\nawait ctx.step(charge())\nreturn await ctx.step(ship())"
        ),
    ),
    Broken(
        "longer_timeout",
        _order(
            'handle = await ctx.create_callback("approval", config=CallbackConfig(timeout=timedelta(days=1)))\nreturn await handle.result()'
        ),
        _order(
            'handle = await ctx.create_callback("approval", config=CallbackConfig(timeout=timedelta(days=2)))\nreturn await handle.result()'
        ),
        is_waiting=True,
    ),
    Broken(
        "retry_storm_in_map",
        """
@durable_step
def book(step: StepContext, number: str) -> str:
    raise GatewayDownError(f"the ledger refused the connection for {number} on all of its ports")


@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    patient = StepConfig(retry_strategy=RetryPresets.fixed(timedelta(seconds=1)))
    async def one(ctx: DurableContext, number: str) -> str:
        return await ctx.step(book(number), config=patient)
    booked = await ctx.map(order["invoices"], one, name="book_all")
    booked.throw_if_error()
    return await ctx.step(ship())
""".strip(),
        payload={"invoices": ["I-1", "I-2", "I-3"]},
    ),
    Broken(
        "ten_attempts",
        """
@durable_step
def book(step: StepContext) -> str:
    raise GatewayDownError("no answer within 30 s from the first ledger, the second ledger and " + "the third ledger " * 8)


@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    patient = StepConfig(retry_strategy=RetryPresets.critical())
    return await ctx.step(book(), config=patient)
""".strip(),
    ),
    Broken("lost_branch", _order(TOLD.format("one, two, three")), _order(TOLD.format("one, two"))),
    Broken("new_branch", _order(TOLD.format("one, two")), _order(TOLD.format("one, two, three"))),
    Broken(
        "inserted_before_its_like",
        _order(
            'await ctx.step(reserve())\nawait ctx.step(charge())\nawait ctx.wait(timedelta(minutes=5), name="pause")'
        ),
        _order(
            'await ctx.step(reserve())\nif "A1" not in order:\n    await ctx.step(audit())\nawait ctx.step(charge())\nawait ctx.wait(timedelta(minutes=5), name="pause")'
        ),
        is_continued=True,
        is_waiting=True,
    ),
)
"""Executions in which the answer is in a helper, in a branch, or in the name that a call was given."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded case.

    Attributes:
        case: The case.
        module: File of its handler, which now holds today's code.
        history: File of its history; its replay trace is beside it.
        handler: Name of the handler.
    """

    case: Broken
    module: Path
    history: Path
    handler: str = "handler"

    @property
    def target(self) -> str:
        """The handler, as the command line takes it."""
        return f"{self.module}:{self.handler}"


def record(case: Broken, directory: Path) -> Recorded:
    """Run a case on the local engine, and write its module, history and replay trace.

    Args:
        case: The case.
        directory: Where to write the files.
    """
    module = directory / f"{case.name}.py"
    sink = MemorySink()
    with LocalEngine(None, time="skip", ids=CountingIds(), trace_sink=sink) as engine:
        engine.register("orders", _handler(module, case.recorded))
        arn = engine.start("orders", case.payload if case.payload is not None else {}, name=case.name)
        engine.run_until_idle(skips="nothing" if case.is_waiting else "work")
        if case.is_continued and case.today is not None:
            engine.register("orders", _handler(module, case.today))
            engine.run_until_idle(skips="work")
        events = _events(engine, arn)
    if case.today is not None:
        module.write_text(HEAD + case.today + "\n", encoding="utf-8")
    history = directory / f"{case.name}.history.json"
    history.write_text(json.dumps({"Events": events}, default=str), encoding="utf-8")
    (directory / f"{case.name}.trace.jsonl").write_text(sink.texts[arn], encoding="utf-8")
    return Recorded(case, module, history)


def _handler(module: Path, text: str) -> Any:
    """Import the handler from a file, also when an earlier text of that file was imported before."""
    module.write_text(HEAD + text + "\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(module.stem, module)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    linecache.checkcache(str(module))
    code = compile(module.read_text(encoding="utf-8"), str(module), "exec")
    exec(code, loaded.__dict__)
    return loaded.handler


def _events(engine: LocalEngine, arn: str) -> list[Any]:
    page = engine.client.get_durable_execution_history(
        DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000
    )
    return list(page["Events"])


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    for each in CASES:
        sys.stdout.write(f"{record(each, where).history}\n")
