"""Executions to look at, made up: an order with every kind of call, and trees of any size."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from durable_execution.call_site import CallSite
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.protocol import OperationStatus, OperationType, branch_id, operation_id
from durable_execution.trace.schema import InvocationTrace, TraceEntry

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ARN = (
    "arn:aws:lambda:eu-west-1:123456789012:function:orders:$LATEST/durable-execution/order-7f3a9c/"
    "5f0c2b7e-1111-4222-8333-444455556666"
)
SECRET = "4111111111111111"

FLOW = """
@durable_execution
async def process_order(ctx: DurableContext, order: Order) -> Approval:
    stock = await ctx.step(reserve_stock, order)
    paid = await ctx.step(charge_card, order)
    await ctx.parallel([email, sms], name="notify_all")
    await ctx.wait(timedelta(seconds=30), name="cooling_off")
    if not flags.fast_lane():
        await ctx.step(reserve_courier, order)
    await ctx.step(ship_parcel, paid)
    await ctx.map(audit, order.lines, name="audit")
    return await ctx.callback("manager_approval")
"""
FLOW_TEXT = "\n" * 33 + FLOW
"""The source of the order; `reserve_stock` is on line 37."""

LINES = {
    "reserve_stock": 37,
    "charge_card": 38,
    "notify_all": 39,
    "cooling_off": 40,
    "reserve_courier": 42,
    "ship_parcel": 43,
    "audit": 44,
    "manager_approval": 45,
}


@dataclass
class Recording:
    """Writes the history of an execution, event by event."""

    events: list[dict[str, Any]] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    counters: dict[str | None, int] = field(default_factory=dict)

    def add(self, kind: str, at: float, details: dict[str, Any] | None = None, **members: Any) -> None:
        """An event."""
        self.events.append(
            {
                "EventType": kind,
                "EventId": len(self.events) + 1,
                "EventTimestamp": (START + timedelta(seconds=at)).isoformat(),
                f"{kind}Details": details or {},
                **members,
            }
        )

    def call(self, name: str, parent: str | None = None, *, branch: int | None = None) -> str:
        """Reserve the id of a call."""
        prefix = self.ids[parent] if parent else None
        if branch is not None:
            assert prefix is not None
            self.ids[name] = branch_id(prefix, branch)
        else:
            self.counters[prefix] = self.counters.get(prefix, 0) + 1
            self.ids[name] = operation_id(prefix, self.counters[prefix])
        return self.ids[name]

    def members(self, key: str, subtype: str, parent: str | None) -> dict[str, Any]:
        """What all events of an operation have."""
        members = {"Id": self.ids[key], "Name": key.rpartition("/")[2], "SubType": subtype}
        return {**members, "ParentId": self.ids[parent]} if parent else members

    def step(self, key: str, start: float, end: float, result: str = "null", *, parent: str | None = None) -> None:
        """A step that succeeds at the first attempt."""
        self.call(key, parent)
        members = self.members(key, "Step", parent)
        self.add("StepStarted", start, **members)
        self.add(
            "StepSucceeded", end, {"Result": {"Payload": result}, "RetryDetails": {"CurrentAttempt": 1}}, **members
        )

    def failed_attempt(self, key: str, at: float, *, delay: int | None, error: str, attempt: int) -> None:
        """An attempt that fails."""
        retry = {"CurrentAttempt": attempt} | ({"NextAttemptDelaySeconds": delay} if delay else {})
        payload = {"ErrorType": "TimeoutError", "ErrorMessage": error}
        self.add(
            "StepFailed", at, {"Error": {"Payload": payload}, "RetryDetails": retry}, **self.members(key, "Step", None)
        )

    def open(self, key: str, subtype: str, at: float, *, parent: str | None = None, branch: int | None = None) -> None:
        """A context begins."""
        self.call(key, parent, branch=branch)
        self.add("ContextStarted", at, **self.members(key, subtype, parent))

    def close(self, key: str, subtype: str, at: float, result: str = "null", *, parent: str | None = None) -> None:
        """A context succeeds."""
        self.add("ContextSucceeded", at, {"Result": {"Payload": result}}, **self.members(key, subtype, parent))

    def invocation(self, start: float, end: float, number: int) -> None:
        """An invocation ends."""
        moments = {"StartTimestamp": START + timedelta(seconds=start), "EndTimestamp": START + timedelta(seconds=end)}
        details = {name: moment.isoformat() for name, moment in moments.items()}
        self.add("InvocationCompleted", end, {**details, "RequestId": f"00000000-0000-4000-8000-{number:012d}"})


def order_recording(*, with_courier: bool = True) -> Recording:
    """The events of the order; without the courier, as changed code would have recorded them."""
    recording = Recording()
    order = '{"id": "7f3a9c", "lines": 200, "card_number": "⊘"}'
    recording.add(
        "ExecutionStarted", 0, {"Input": {"Payload": order}, "ExecutionTimeout": 86400}, Id="x", Name="order-7f3a9c"
    )
    recording.step("reserve_stock", 0.02, 0.14, '{"sku": "A1", "qty": 2}')
    _charge(recording)
    recording.invocation(0.0, 8.6, 1)
    recording.add("WaitSucceeded", 38.6, {"Duration": 30}, **recording.members("cooling_off", "Wait", None))
    if with_courier:
        recording.step("reserve_courier", 38.6, 39.24, '{"id": "DHL-88"}')
    recording.step("ship_parcel", 39.26, 40.3, '{"tracking": "00340434"}')
    _audit(recording)
    recording.call("manager_approval")
    details = {"CallbackId": "Y2FsbGJhY2s=", "Timeout": 86400}
    recording.add("CallbackStarted", 41.2, details, **recording.members("manager_approval", "Callback", None))
    recording.invocation(38.6, 41.2, 2)
    return recording


def _charge(recording: Recording) -> None:
    recording.call("charge_card")
    members = recording.members("charge_card", "Step", None)
    recording.add("StepStarted", 0.14, **members)
    recording.failed_attempt("charge_card", 1.4, delay=2, error="gateway did not answer", attempt=1)
    recording.add("StepStarted", 3.4, **members)
    recording.failed_attempt("charge_card", 3.6, delay=2, error="gateway did not answer", attempt=2)
    recording.add("StepStarted", 5.6, **members)
    details = {"Result": {"Payload": '{"total": "81.20"}'}, "RetryDetails": {"CurrentAttempt": 3}}
    recording.add("StepSucceeded", 6.2, details, **members)
    recording.open("notify_all", "Parallel", 6.2)
    for index, (name, seconds) in enumerate((("email", 0.31), ("sms", 2.4))):
        recording.open(name, "ParallelBranch", 6.2, parent="notify_all", branch=index)
        recording.step(f"{name}/send", 6.2, 6.2 + seconds, '"sent"', parent=name)
        recording.close(name, "ParallelBranch", 6.2 + seconds, '"sent"', parent="notify_all")
    recording.close("notify_all", "Parallel", 8.6, '{"completionReason": "ALL_COMPLETED"}')
    recording.call("cooling_off")
    until = (START + timedelta(seconds=38.6)).isoformat()
    wait = {"Duration": 30, "ScheduledEndTimestamp": until}
    recording.add("WaitStarted", 8.6, wait, **recording.members("cooling_off", "Wait", None))


def _audit(recording: Recording) -> None:
    recording.open("audit", "Map", 40.3)
    for index in range(200):
        name = f"line-{index}"
        recording.open(name, "MapIteration", 40.3 + index * 0.004, parent="audit", branch=index)
        recording.close(name, "MapIteration", 40.304 + index * 0.004, "true", parent="audit")
    recording.close("audit", "Map", 41.2, '{"completionReason": "ALL_COMPLETED"}')


def order_traces(recording: Recording) -> tuple[InvocationTrace, ...]:
    """What two invocations called, with call sites and local variables."""
    first = [("reserve_stock", 0.02), ("charge_card", 0.14), ("notify_all", 6.2), ("cooling_off", 8.6)]
    second = [(name, 0.0) for name, _ in first]
    second += [("reserve_courier", 0.0)] if "reserve_courier" in recording.ids else []
    second += [("ship_parcel", 0.66), ("audit", 1.7), ("manager_approval", 2.6)]
    return (
        _trace(recording, 1, 0.0, 8.6, first, ()),
        _trace(recording, 2, 38.6, 41.2, second, {name for name, _ in first}),
    )


def _trace(
    recording: Recording, number: int, start: float, end: float, calls: Sequence[tuple[str, float]], replayed: Any
) -> InvocationTrace:
    entries = tuple(
        TraceEntry(
            seq=seq,
            id=recording.ids[name],
            path=f"process_order/{name}",
            type="STEP",
            name=name,
            call_site=CallSite("flow.py", LINES[name], "process_order"),
            happened="replayed" if name in replayed else "executed",
            at=at,
            locals=_locals(name),
        )
        for seq, (name, at) in enumerate(calls, start=1)
    )
    return InvocationTrace(
        execution_arn=ARN,
        invocation=number,
        handler="flow:process_order",
        source_file="flow.py",
        started_at=START + timedelta(seconds=start),
        ended_at=START + timedelta(seconds=end),
        outcome="PENDING",
        entries=entries,
        is_complete=True,
    )


def _locals(name: str) -> dict[str, str]:
    known = {"order": "Order(id='7f3a9c', lines=200)", "ctx": "<DurableContext>", "card_number": "⊘"}
    if LINES[name] > LINES["reserve_stock"]:
        known["stock"] = "Stock(sku='A1', qty=2)"
    if LINES[name] > LINES["charge_card"]:
        known["paid"] = "Receipt(total=81.20)"
    return known


@cache
def order_execution(*, with_courier: bool = True, with_traces: bool = True) -> RecordedExecution:
    """The order, read."""
    recording = order_recording(with_courier=with_courier)
    traces = order_traces(recording) if with_traces else ()
    return read_history(recording.events, arn=ARN, traces=traces)


def tree_execution(depths: Sequence[int], *, statuses: Sequence[str] = ()) -> RecordedExecution:
    """An execution whose tree has these depths, depth first; a step per leaf."""
    operations: list[RecordedOperation] = []
    parents: list[str] = []
    for row, depth in enumerate(depths):
        del parents[depth:]
        is_context = row + 1 < len(depths) and depths[row + 1] > depth
        operation = RecordedOperation(
            id=f"{row:064x}",
            parent_id=parents[-1] if parents else None,
            depth=depth,
            position=row + 1,
            path=f"workflow/{row}",
            type=OperationType.CONTEXT if is_context else OperationType.STEP,
            subtype="RunInChildContext" if is_context else "Step",
            name=f"call-{row}",
            status=OperationStatus(statuses[row % len(statuses)]) if statuses else OperationStatus.SUCCEEDED,
            started_at=START + timedelta(milliseconds=row),
            ended_at=START + timedelta(milliseconds=row + 1),
        )
        operations.append(operation)
        parents.append(operation.id)
    return RecordedExecution(
        arn=None,
        name="made-up",
        id="made-up",
        function_name="workflow",
        status="SUCCEEDED",
        started_at=START,
        ended_at=START + timedelta(milliseconds=len(depths)),
        input=None,
        result=None,
        error=None,
        operations=tuple(operations),
    )


def big_execution(calls: int = 100_000) -> RecordedExecution:
    """A tree of a hundred contexts per level of ten calls each, three levels deep."""
    depths = [1 if row % 100 else 0 for row in range(calls)]
    depths = [depth if row % 10 or not depth else 1 for row, depth in enumerate(depths)]
    return tree_execution([2 if depth and row % 10 else depth for row, depth in enumerate(depths)])


def renamed(execution: RecordedExecution, names: dict[str, str]) -> RecordedExecution:
    """The execution with other names."""
    operations = [replace(each, name=names.get(each.name or "", each.name)) for each in execution.operations]
    return replace(execution, operations=tuple(operations))
