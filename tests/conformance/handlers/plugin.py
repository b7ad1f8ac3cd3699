"""Observers that print what they are told, one JSON object per line."""

import contextlib
import json
from datetime import datetime, timedelta
from typing import Any

from durable_execution import (
    DurableContext,
    Jitter,
    Observer,
    ParallelBranch,
    ParallelConfig,
    RetryPresets,
    StepConfig,
    StepContext,
    StepError,
    durable_execution,
    exponential_backoff,
)
from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    ChangedOperation,
    ContextEntered,
    ContextLeft,
    InvocationEnded,
    InvocationStarted,
    OperationCall,
    OperationCompleted,
    OperationsChanged,
    OperationStarted,
)
from tests.conformance.registry import requirement

SECOND = timedelta(seconds=1)
ONCE = StepConfig(retry_strategy=RetryPresets.none())
TWICE = StepConfig(retry_strategy=exponential_backoff(max_attempts=2, initial_delay=SECOND, jitter=Jitter.NONE))


class Printing(Observer):
    """Prints records that carry the ARN of the execution."""

    def __init__(self, plugin: str = "CONFPLUGIN") -> None:
        self.plugin = plugin
        self.arn = ""

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        self.arn = notification.execution_arn

    def write(self, hook: str, **fields: Any) -> None:
        """Print a record; fields without a value are left out."""
        found = {name: _plain(value) for name, value in fields.items() if value is not None}
        print(json.dumps({"plugin": self.plugin, "hook": hook, **found, "durableExecutionArn": self.arn}))


class Invocations(Printing):
    """Prints invocations."""

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        super().on_invocation_started(notification)
        self.write("invocation-start", first=notification.is_first)

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        error = notification.error.message if notification.error is not None else None
        self.write("invocation-end", status=notification.status, result=notification.result, error=error)


class Operations(Printing):
    """Prints operations of a type, or of all types."""

    def __init__(self, plugin: str = "CONFPLUGIN", only: str | None = None) -> None:
        super().__init__(plugin)
        self.only = only

    def on_operation_started(self, notification: OperationStarted) -> None:
        if self.only in {None, notification.call.type}:
            replay, status = notification.is_replayed, notification.status
            self.write("operation-start", op=notification.call.id, replay=replay, status=status)

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        call = notification.call
        if self.only in {None, call.type}:
            self.write("operation-end", op=call.id, parent=call.parent_id or "NONE", status=notification.status)


class Attempts(Operations):
    """Prints attempts as well."""

    def on_attempt_started(self, notification: AttemptStarted) -> None:
        self.write("attempt-start", n=notification.attempt, op=notification.call.id)

    def on_attempt_ended(self, notification: AttemptEnded) -> None:
        self.write("attempt-end", n=notification.attempt, op=notification.call.id, outcome=notification.outcome)


class Healthy(Invocations, Attempts):
    """Prints everything."""

    def on_attempt_started(self, notification: AttemptStarted) -> None:
        self.write("attempt-start", op=notification.call.id)


class Faulty(Healthy):
    """Prints which hook was called, and raises."""

    def write(self, hook: str, **fields: Any) -> None:
        super().write(hook)
        raise RuntimeError(f"{hook} is broken")


class UpdatedWaits(Printing):
    """Prints waits that ended while nobody was running."""

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        super().on_invocation_started(notification)
        for operation_id in notification.updated_operation_ids:
            operation = notification.operations[operation_id]
            if operation.type == "WAIT":
                status = operation.status
                self.write("updated-on-invoke", op=operation_id, status=status, first=notification.is_first)


class Contents(Printing):
    """Prints what operations and invocations have come to."""

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        error = notification.error
        self.write(
            "operation-end",
            op=notification.call.id,
            status=notification.status,
            result=notification.result,
            errorType=error.type if error is not None else None,
            errorMessage=error.message if error is not None else None,
        )

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        self.write("invocation-end", status=notification.status, result=notification.result)


class Changes(Printing):
    """Prints every operation that the service says has changed."""

    def on_operations_changed(self, notification: OperationsChanged) -> None:
        for operation_id, operation in notification.updated.items():
            is_known = notification.operations[operation_id] == operation
            self.write("operation-change", total=len(notification.operations), known=is_known, **_dumped(operation))


class UserFunctions(Printing):
    """Prints bodies of contexts."""

    def on_context_entered(self, notification: ContextEntered) -> None:
        self.write("fn-start", name=notification.call.name, op=notification.call.id)

    def on_context_left(self, notification: ContextLeft) -> None:
        call = notification.call
        self.write("fn-end", name=call.name, op=call.id, outcome=notification.outcome)


class InvocationFields(Printing):
    """Prints every field of an invocation."""

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        super().on_invocation_started(notification)
        self.write(
            "invocation-start",
            updatedOperationsCount=len(notification.updated_operation_ids),
            **self._fields(notification, len(notification.operations)),
        )

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        self.write(
            "invocation-end",
            status=notification.status,
            terminal=notification.status in {"SUCCEEDED", "FAILED"},
            executionError=notification.error.message if notification.error is not None else None,
            **self._fields(notification.started, len(notification.operations)),
        )

    def _fields(self, started: InvocationStarted, count: int) -> dict[str, Any]:
        return {
            "isFirstInvocation": started.is_first,
            "requestId": started.request_id,
            "operationsCount": count,
            "executionStartTimestamp": started.execution_started_at,
        }


class OperationFields(Printing):
    """Prints every field of an operation."""

    def on_operation_started(self, notification: OperationStarted) -> None:
        self.write(
            "operation-start",
            **_call(notification.call),
            startTimestamp=notification.at,
            isReplay=notification.is_replayed,
            status=notification.status,
        )

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        self.write(
            "operation-end",
            **_call(notification.call),
            startTimestamp=notification.started_at,
            endTimestamp=notification.at,
            isReplay=notification.is_replayed,
            status=notification.status,
            result=notification.result,
            error=notification.error.message if notification.error is not None else None,
            attempt=notification.attempt,
        )


class AttemptFields(Printing):
    """Prints every field of an attempt."""

    def on_attempt_started(self, notification: AttemptStarted) -> None:
        self.write(
            "attempt-start",
            **_call(notification.call),
            attempt=notification.attempt,
            startTimestamp=notification.at,
            isReplay=notification.is_replayed,
        )

    def on_attempt_ended(self, notification: AttemptEnded) -> None:
        self.write(
            "attempt-end",
            **_call(notification.call),
            attempt=notification.attempt,
            startTimestamp=notification.started_at,
            endTimestamp=notification.at,
            isReplay=notification.is_replayed,
            outcome=notification.outcome,
            error=notification.error.message if notification.error is not None else None,
        )


class ContextFields(Printing):
    """Prints every field of a context."""

    def on_operation_started(self, notification: OperationStarted) -> None:
        if notification.call.type == "CONTEXT":
            self.write("operation-start", **_call(notification.call), isReplay=notification.is_replayed)

    def on_context_entered(self, notification: ContextEntered) -> None:
        self.write("fn-start", **_call(notification.call), isReplayingChildren=notification.is_replaying_children)


def _call(call: OperationCall) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "type": call.type, "subType": call.subtype, "parentId": call.parent_id}


def _dumped(operation: ChangedOperation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "name": operation.name,
        "type": operation.type,
        "subType": operation.subtype,
        "parentId": operation.parent_id,
        "status": operation.status,
        "startTimestamp": operation.started_at,
        "endTimestamp": operation.ended_at,
        "result": operation.result,
        "error": operation.error.message if operation.error is not None else None,
        "attempt": operation.attempt,
        "isReplay": operation.is_replayed,
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


async def greeting(name: str, ctx: DurableContext) -> str:
    return await ctx.step(lambda _: f"Hello, {name}!")


async def flaky(ctx: DurableContext, name: str | None = None, result: str = "Operation succeeded") -> str:
    def work(step: StepContext) -> str:
        if step.attempt == 1:
            raise RuntimeError("not yet")
        return result

    return await ctx.step(work, name, config=TWICE)


def fail(_step: StepContext) -> None:
    raise ValueError("broken for good")


@requirement("10-1")
@durable_execution(observers=[Invocations()])
async def invocation_lifecycle(name: str, ctx: DurableContext) -> str:
    async def greet(step: StepContext) -> str:
        step.logger.info("Greeting step running for: %s", name)
        return f"Hello, {name}!"

    return await ctx.step(greet)


@requirement("10-2")
@durable_execution(observers=[Operations()])
async def operation_lifecycle(name: str, ctx: DurableContext) -> str:
    await ctx.wait(SECOND)
    return await greeting(name, ctx)


@requirement("10-3")
@durable_execution(observers=[Attempts(only="STEP")])
async def attempts(_event: Any, ctx: DurableContext) -> str:
    return await flaky(ctx)


@requirement("10-4")
@durable_execution(observers=[Faulty("CONFPLUGIN-FAULTY")])
async def faulty(name: str, ctx: DurableContext) -> str:
    return await greeting(name, ctx)


@requirement("10-5")
@durable_execution(observers=[Invocations("CONFPLUGIN-A"), Invocations("CONFPLUGIN-B")])
async def two_plugins(name: str, ctx: DurableContext) -> str:
    return await greeting(name, ctx)


@requirement("10-6")
@durable_execution(observers=[Invocations()])
async def suspended(name: str, ctx: DurableContext) -> str:
    await ctx.wait(SECOND)
    return await greeting(name, ctx)


@requirement("10-7")
@durable_execution(observers=[Invocations()])
async def terminal_failure(_event: Any, ctx: DurableContext) -> None:
    await ctx.step(fail, config=ONCE)


@requirement("10-8")
@durable_execution(observers=[Changes()])
async def changes(name: str, ctx: DurableContext) -> str:
    await ctx.step(lambda _: "first", name="first")
    return await greeting(name, ctx)


@requirement("10-9")
@durable_execution(observers=[UpdatedWaits()])
async def updated_outside(_event: Any, ctx: DurableContext) -> None:
    await ctx.wait(timedelta(seconds=2))


@requirement("10-10")
@durable_execution(observers=[Operations(only="WAIT")])
async def ends_once(_event: Any, ctx: DurableContext) -> str:
    await ctx.wait(SECOND, name="one")
    await ctx.wait(SECOND, name="two")
    return "done"


@requirement("10-11")
@durable_execution(observers=[Operations()])
async def parents(name: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        return await greeting(name, inner)

    return await ctx.run_in_child_context(child)


@requirement("10-12")
@durable_execution(observers=[UserFunctions()])
async def user_functions(_event: Any, ctx: DurableContext) -> list[Any]:
    async def good(_branch: DurableContext) -> str:
        return "good"

    async def bad(_branch: DurableContext) -> str:
        raise ValueError("bad")

    branches = [ParallelBranch(good, "good"), ParallelBranch(bad, "bad")]
    batch = await ctx.parallel(branches, "both", config=ParallelConfig(max_concurrency=1))
    return batch.get_results()


@requirement("10-13")
@durable_execution(observers=[Operations(only="STEP")])
async def replayed_starts(_event: Any, ctx: DurableContext) -> str:
    await ctx.step(lambda _: "a")
    return await flaky(ctx)


@requirement("10-14")
@durable_execution(observers=[Contents()])
async def contents(name: str, ctx: DurableContext) -> str:
    with contextlib.suppress(StepError):
        await ctx.step(fail, config=ONCE)
    return await greeting(name, ctx)


@requirement("10-15")
@durable_execution(observers=[Attempts(only="STEP")])
async def exhausted(_event: Any, ctx: DurableContext) -> None:
    await ctx.step(fail, config=TWICE)


@requirement("10-16")
@durable_execution(observers=[Invocations()])
async def every_invocation(_event: Any, ctx: DurableContext) -> str:
    await ctx.wait(SECOND)
    await ctx.wait(SECOND)
    return "done"


@requirement("10-17")
@durable_execution(observers=[Faulty("CONFPLUGIN-FAULTY"), Healthy("CONFPLUGIN-HEALTHY", only="STEP")])
async def faulty_and_healthy(name: str, ctx: DurableContext) -> str:
    return await greeting(name, ctx)


@requirement("10-18")
@durable_execution(observers=[Operations(only="WAIT")])
async def pending_wait(names: str, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback(names)
    await ctx.wait(timedelta(seconds=5), name="long")
    return await callback.result()


@requirement("10-19")
@durable_execution(observers=[InvocationFields()])
async def invocation_fields(text: str, ctx: DurableContext) -> str:
    await ctx.wait(timedelta(seconds=2))
    return f"done-{text}"


@requirement("10-20")
@durable_execution(observers=[OperationFields()])
async def operation_fields(_event: Any, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        return await flaky(inner, "flaky", "ok")

    return await ctx.run_in_child_context(child, name="child")


@requirement("10-21")
@durable_execution(observers=[AttemptFields()])
async def attempt_fields(_event: Any, ctx: DurableContext) -> str:
    return await flaky(ctx, "flaky", "ok")


@requirement("10-22")
@durable_execution(observers=[Changes()])
async def change_fields(_event: Any, ctx: DurableContext) -> str:
    return await flaky(ctx, "flaky", "ok")


@requirement("10-23")
@durable_execution(observers=[ContextFields()])
async def context_fields(_event: Any, ctx: DurableContext) -> list[Any]:
    async def first(branch: DurableContext) -> str:
        await branch.step(lambda _: "x", name="inner")
        await branch.wait(timedelta(seconds=2))
        return "a-done"

    async def second(_branch: DurableContext) -> str:
        return "b-done"

    branches = [ParallelBranch(first, "branch-a"), ParallelBranch(second, "branch-b")]
    return (await ctx.parallel(branches, "ctx", config=ParallelConfig(max_concurrency=1))).get_results()
