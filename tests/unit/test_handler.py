"""What a handler answers: to good payloads and bad, to errors of the user's and of the service's, to large results."""

import asyncio
import json
import logging
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pydantic
import pytest

from durable_execution import (
    BlockingContext,
    DurableContext,
    DurableHandler,
    InvocationError,
    Observer,
    StepConfig,
    StepContext,
    StepSemantics,
    durable_execution,
)
from durable_execution.errors import (
    ConfigurationError,
    DurableError,
    NotDurableError,
    ServiceError,
    ServiceUnavailableError,
)
from durable_execution.observers import InvocationStarted
from durable_execution.protocol import operation_id
from durable_execution.protocol.enums import MAX_ERROR_BYTES, MAX_RESPONSE_BYTES
from durable_execution.retry import RetryPresets
from durable_execution.runtime.service import CheckpointAnswer, StatePage
from tests.unit.fake_service import ARN, FakeService, envelope, invoke, step_operation

ONCE = StepConfig(retry_strategy=RetryPresets.none())


class Order(pydantic.BaseModel):
    id: str
    amount: Decimal


class Note(pydantic.BaseModel):
    text: str


@dataclass
class Parcel:
    weight: float


@durable_execution
async def echo(payload: Any, ctx: DurableContext) -> Any:
    return payload


@durable_execution
async def one_step(_: Any, ctx: DurableContext) -> str:
    return await ctx.step(lambda step: "stepped", "charge")


def answer_of(function: Callable[..., Any], payload: Any = None, service: FakeService | None = None) -> dict[str, Any]:
    return invoke(durable_execution(function), service or FakeService(), payload)


def error_of(function: Callable[..., Any], payload: Any = None, service: FakeService | None = None) -> dict[str, Any]:
    answer = answer_of(function, payload, service)
    assert answer["Status"] == "FAILED"
    assert "Result" not in answer
    error: dict[str, Any] = answer["Error"]
    return error


def refusing(code: str, status: int | None, message: str = "no") -> FakeService:
    service = FakeService()

    def refuse(number: int) -> CheckpointAnswer | None:
        raise ServiceError(code, message, status=status)

    service.on_checkpoint = refuse
    return service


class TestEvent:
    @pytest.mark.parametrize("event", [{}, {"order": 1}, None, [], "x", 5, {"DurableExecutionArn": ARN}], ids=repr)
    def test_a_plain_event_is_refused_with_the_reason(self, event: Any) -> None:
        with pytest.raises(NotDurableError, match="not configured as durable"):
            echo(event, None)
        with pytest.raises(NotDurableError):
            echo.invoke(event, None, client=FakeService())

    def test_an_execution_without_an_execution_operation_has_an_empty_payload(self) -> None:
        event = envelope()
        event["InitialExecutionState"]["Operations"] = []
        assert echo.invoke(event, None, client=FakeService())["Result"] == "{}"


class TestPayload:
    @pytest.mark.parametrize(
        ("text", "result"), [("", "{}"), ("  ", "{}"), ("null", "null"), ("[1]", "[1]"), ('{"a": 1}', '{"a":1}')]
    )
    def test_the_payload_is_read_as_json(self, text: str, result: str) -> None:
        answer = echo.invoke(envelope(text=text), None, client=FakeService())
        assert answer == {"Status": "SUCCEEDED", "Result": result}

    @pytest.mark.parametrize("text", ["{", "nonsense", "{'a': 1}", "[" * 100_000])
    def test_a_payload_that_is_not_json_fails_the_execution(self, text: str) -> None:
        answer = echo.invoke(envelope(text=text), None, client=FakeService())
        assert answer["Status"] == "FAILED"
        assert answer["Error"]["ErrorType"] == "durable_execution.errors.PayloadError"
        assert "is not JSON" in answer["Error"]["ErrorMessage"]

    def test_it_is_fitted_to_a_model(self) -> None:
        async def handler(order: Order, ctx: DurableContext) -> str:
            assert type(order) is Order
            return str(order.amount)

        assert answer_of(handler, {"id": "7", "amount": "9.50"})["Result"] == '"9.50"'

    def test_it_is_fitted_to_a_dataclass(self) -> None:
        def handler(parcel: Parcel, ctx: BlockingContext) -> float:
            return parcel.weight

        assert answer_of(handler, {"weight": 2})["Result"] == "2.0"

    def test_one_that_does_not_fit_fails_the_execution_and_says_where(self) -> None:
        async def handler(order: Order, ctx: DurableContext) -> None: ...

        error = error_of(handler, {"id": "7"})
        assert error["ErrorType"] == "durable_execution.errors.PayloadError"
        assert "amount" in error["ErrorMessage"]

    @pytest.mark.parametrize("annotation", [Any, dict, dict[str, Any], list[int], str | None, None], ids=str)
    def test_a_plain_annotation_lets_everything_through(self, annotation: Any) -> None:
        async def handler(payload: Any, ctx: DurableContext) -> Any:
            return payload

        handler.__annotations__["payload"] = annotation
        assert answer_of(handler, {"any": ["thing"]})["Result"] == '{"any":["thing"]}'

    def test_its_annotation_is_resolved_once_for_all_invocations(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolved: list[Any] = []
        resolve = typing.get_type_hints

        def counted(target: Any, **options: Any) -> dict[str, Any]:
            resolved.append(target)
            return resolve(target, **options)

        monkeypatch.setattr(typing, "get_type_hints", counted)

        async def handler(payload: dict[str, Any], ctx: DurableContext) -> None: ...

        for _ in range(3):
            answer_of(handler, {})
        assert len(resolved) == 1

    def test_an_annotation_that_does_not_resolve_is_explained(self) -> None:
        async def handler(payload: "NoSuchType", ctx: DurableContext) -> None: ...  # type: ignore[name-defined]  # noqa: F821

        error = error_of(handler)
        assert "the annotation of 'payload'" in error["ErrorMessage"]
        assert "Define the type at module level" in error["ErrorMessage"]


class TestResult:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "null"),
            (True, "true"),
            ("ä", '"\\u00e4"'),
            ({"a": [1, 2.5, None]}, '{"a":[1,2.5,null]}'),
            ((1, 2), "[1,2]"),
            (Order(id="7", amount=Decimal("9.50")), '{"id":"7","amount":"9.50"}'),
            ([Parcel(1.5)], '[{"weight":1.5}]'),
            ({"when": timedelta(hours=1)}, '{"when":"PT1H"}'),
        ],
        ids=repr,
    )
    def test_anything_with_a_json_form_will_do(self, value: Any, text: str) -> None:
        async def handler(_: Any, ctx: DurableContext) -> Any:
            return value

        assert answer_of(handler) == {"Status": "SUCCEEDED", "Result": text}

    def test_a_value_without_one_fails_the_execution_and_names_the_handler(self) -> None:
        async def handler(_: Any, ctx: DurableContext) -> Any:
            return object()

        error = error_of(handler)
        assert error["ErrorType"] == "durable_execution.errors.SerializationError"
        assert "handler cannot be written: object" in error["ErrorMessage"]
        assert "Return JSON values" in error["ErrorMessage"]

    @pytest.mark.parametrize("character", ["x", "ä"])
    def test_one_that_is_too_large_to_return_is_checkpointed(self, character: str) -> None:
        large = character * MAX_RESPONSE_BYTES
        service = FakeService()

        async def handler(_: Any, ctx: DurableContext) -> str:
            return large

        assert answer_of(handler, service=service) == {"Status": "SUCCEEDED", "Result": ""}
        ((update,),) = service.calls
        assert (update["Type"], update["Action"]) == ("EXECUTION", "SUCCEED")
        assert update["Id"].startswith("execution-result-")
        assert json.loads(update["Payload"]) == large

    @pytest.mark.parametrize(
        ("runtime", "bytes_per_character"), [("AWS_Lambda_python3.11", 6), ("AWS_Lambda_python3.13", 2), ("", 6)]
    )
    @pytest.mark.parametrize("excess", [0, 1])
    def test_the_limit_counts_the_bytes_of_the_response(
        self, monkeypatch: pytest.MonkeyPatch, runtime: str, bytes_per_character: int, excess: int
    ) -> None:
        """pydantic writes UTF-8: a text below the limit in characters can be above it in bytes."""
        monkeypatch.setenv("AWS_EXECUTION_ENV", runtime)
        envelope_bytes = len(json.dumps({"Status": "SUCCEEDED", "Result": '{"text":""}'}))
        count, rest = divmod(MAX_RESPONSE_BYTES - envelope_bytes, bytes_per_character)
        large = "ä" * count + "x" * (rest + excess)
        service = FakeService()

        async def handler(_: Any, ctx: DurableContext) -> Note:
            return Note(text=large)

        answer = answer_of(handler, service=service)
        assert answer["Status"] == "SUCCEEDED"
        if excess:
            ((update,),) = service.calls
            assert json.loads(update["Payload"]) == {"text": large}
        else:
            assert (json.loads(answer["Result"]), service.calls) == ({"text": large}, [])

    def test_the_limit_counts_what_the_envelope_escapes_again(self) -> None:
        """Lambda broke such a response, and the execution was retried until it failed."""
        large = "é" * (MAX_RESPONSE_BYTES // 6 - 10)
        service = FakeService()

        async def handler(_: Any, ctx: DurableContext) -> str:
            return large

        assert answer_of(handler, service=service) == {"Status": "SUCCEEDED", "Result": ""}
        ((update,),) = service.calls
        assert len(update["Payload"]) < MAX_RESPONSE_BYTES
        assert json.loads(update["Payload"]) == large

    def test_what_is_still_unsent_travels_before_a_large_result(self) -> None:
        service = FakeService()

        async def handler(_: Any, ctx: DurableContext) -> str:
            if ctx.patched("new"):
                pass
            return "x" * MAX_RESPONSE_BYTES

        answer_of(handler, service=service)
        assert [update["Type"] for call in service.calls for update in call] == ["STEP", "STEP", "EXECUTION"]

    def test_a_large_result_may_end_the_token(self) -> None:
        service = FakeService()
        service.on_checkpoint = lambda number: CheckpointAnswer(None, [])

        async def handler(_: Any, ctx: DurableContext) -> str:
            return "x" * MAX_RESPONSE_BYTES

        assert answer_of(handler, service=service) == {"Status": "SUCCEEDED", "Result": ""}

    def test_a_large_result_that_is_refused_fails_the_execution(self) -> None:
        async def handler(_: Any, ctx: DurableContext) -> str:
            return "x" * MAX_RESPONSE_BYTES

        error = error_of(handler, service=refusing("InvalidParameterValueException", 400, "too large"))
        assert error["ErrorType"] == "durable_execution.errors.CheckpointRejectedError"
        assert "Return less: store the bulk in a bucket, in a step or with OffloadedSerDes" in error["ErrorMessage"]

    def test_a_large_result_that_is_throttled_is_tried_again(self) -> None:
        async def handler(_: Any, ctx: DurableContext) -> str:
            return "x" * MAX_RESPONSE_BYTES

        with pytest.raises(ServiceUnavailableError):
            answer_of(handler, service=refusing("TooManyRequestsException", 429))


class TestErrors:
    def test_a_users_error_is_an_answer(self) -> None:
        async def handler(_: Any, ctx: DurableContext) -> None:
            raise ValueError("no such card")

        error = error_of(handler)
        assert (error["ErrorType"], error["ErrorMessage"]) == ("ValueError", "no such card")
        assert len(error["StackTrace"]) == 1
        assert "in handler: raise ValueError" in error["StackTrace"][0]

    def test_an_error_may_carry_data(self) -> None:
        class DeclinedError(Exception):
            error_data = '{"card": 7}'

        async def handler(_: Any, ctx: DurableContext) -> None:
            raise DeclinedError("no")

        error = error_of(handler)
        assert error["ErrorData"] == '{"card": 7}'
        assert error["ErrorType"].endswith("DeclinedError")

    def test_a_steps_error_passes_through_as_what_it_was(self) -> None:
        async def handler(_: Any, ctx: DurableContext) -> None:
            def fail(step: StepContext) -> None:
                raise LookupError("no such card")

            await ctx.step(fail, config=ONCE)

        error = error_of(handler)
        assert (error["ErrorType"], error["ErrorMessage"]) == ("LookupError", "no such card")

    def test_a_group_of_errors_is_one_error(self) -> None:
        async def handler(_: Any, ctx: DurableContext) -> None:
            async def fail() -> None:
                raise ValueError("no")

            async with asyncio.TaskGroup() as group:
                group.create_task(fail())

        assert error_of(handler)["ErrorType"] == "ExceptionGroup"

    def test_raising_for_a_retry_is_no_answer(self) -> None:
        async def handler(_: Any, ctx: DurableContext) -> None:
            raise InvocationError("later")

        with pytest.raises(InvocationError, match="later"):
            answer_of(handler)

    def test_shorthands_work_as_the_classes(self) -> None:
        async def fatal(_: Any, ctx: DurableContext) -> None:
            raise DurableError.execution("never")

        async def passing(_: Any, ctx: DurableContext) -> None:
            raise DurableError.invocation("later")

        assert error_of(fatal)["ErrorMessage"] == "never"
        with pytest.raises(InvocationError):
            answer_of(passing)

    def test_a_cancellation_of_its_own_is_the_handlers_error(self) -> None:
        async def handler(_: Any, ctx: DurableContext) -> None:
            raise asyncio.CancelledError("by hand")

        assert "cancelled by its own code (by hand)" in error_of(handler)["ErrorMessage"]

    @pytest.mark.parametrize(("length", "data"), [(100_000, ""), (10, "x" * 100_000), (100_000, "x" * 100_000)])
    def test_an_error_fits_into_what_the_service_takes(self, length: int, data: str) -> None:
        class WordyError(Exception):
            error_data = data

        async def handler(_: Any, ctx: DurableContext) -> None:
            raise WordyError("ä" * length)

        error = error_of(handler)
        assert len(json.dumps(error)) <= MAX_ERROR_BYTES
        assert error["ErrorMessage"].startswith("ä" * 10)

    def test_a_steps_error_fits_too(self) -> None:
        service = FakeService()

        async def handler(_: Any, ctx: DurableContext) -> None:
            def fail(step: StepContext) -> None:
                raise ValueError("ä" * 100_000)

            await ctx.step(fail, config=ONCE)

        error_of(handler, service=service)
        (failed,) = [update for call in service.calls for update in call if update["Action"] == "FAIL"]
        assert len(json.dumps(failed["Error"])) <= MAX_ERROR_BYTES

    @pytest.mark.parametrize("exit_", [SystemExit(1), KeyboardInterrupt()], ids=repr)
    def test_an_exit_of_the_process_is_nobodys_business(self, exit_: BaseException) -> None:
        async def handler(_: Any, ctx: DurableContext) -> None:
            raise exit_

        with pytest.raises(type(exit_)):
            answer_of(handler)


class TestService:
    @pytest.mark.parametrize(
        ("code", "status", "message"),
        [
            ("InvalidParameterValueException", 400, "Inconsistent operation type."),
            ("ResourceNotFoundException", 404, "gone"),
            ("KMSAccessDeniedException", 502, "no key"),
            ("AccessDeniedException", 403, "not yours"),
        ],
    )
    def test_a_refusal_for_good_fails_the_execution(self, code: str, status: int, message: str) -> None:
        answer = invoke(one_step, refusing(code, status, message))
        assert answer["Status"] == "FAILED"
        assert answer["Error"]["ErrorType"] == "durable_execution.errors.CheckpointRejectedError"
        assert message in answer["Error"]["ErrorMessage"]

    @pytest.mark.parametrize(
        ("code", "status", "message"),
        [
            ("TooManyRequestsException", 429, "slow down"),
            ("ServiceException", 500, "oops"),
            ("EndpointConnectionError", None, "no answer"),
            ("InvalidParameterValueException", 400, "Invalid checkpoint token"),
        ],
    )
    def test_passing_trouble_retries_the_invocation(self, code: str, status: int | None, message: str) -> None:
        with pytest.raises(ServiceUnavailableError, match=message) as raised:
            invoke(one_step, refusing(code, status, message))
        assert isinstance(raised.value.__cause__, ServiceError)

    def test_user_code_cannot_swallow_the_services_trouble(self) -> None:
        reached: list[str] = []

        async def handler(_: Any, ctx: DurableContext) -> str:
            try:
                await ctx.step(lambda step: 1)
            except Exception:  # noqa: BLE001
                reached.append("except")
            reached.append("after")
            return "swallowed"

        with pytest.raises(ServiceUnavailableError):
            answer_of(handler, service=refusing("ServiceException", 500))
        assert reached == []

    def test_without_a_token_the_invocation_answers_pending(self) -> None:
        service = FakeService()
        service.on_checkpoint = lambda number: CheckpointAnswer(None, [])
        assert invoke(one_step, service) == {"Status": "PENDING"}

    @pytest.mark.parametrize("is_alone", [True, False])
    def test_a_start_that_is_answered_without_a_token_does_not_start_the_body(self, is_alone: bool) -> None:
        started: list[str] = []
        service = FakeService()
        service.on_checkpoint = lambda number: CheckpointAnswer(None, [])
        once = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)

        async def handler(_: Any, ctx: DurableContext) -> None:
            def charge(name: str) -> Any:
                return ctx.step(lambda step: started.append(name), name, config=once)

            await (charge("a") if is_alone else asyncio.gather(charge("a"), charge("b")))

        assert answer_of(handler, service=service) == {"Status": "PENDING"}
        assert started == []

    def test_without_a_token_even_a_result_is_not_answered(self) -> None:
        service = FakeService()
        service.on_checkpoint = lambda number: CheckpointAnswer(None, [])

        async def handler(payload: Any, ctx: DurableContext) -> str:
            async def body(step: StepContext) -> int:
                return 1

            unfinished = asyncio.ensure_future(ctx.step(body))
            for _ in range(20):
                await asyncio.sleep(0)
            assert service.calls
            del unfinished
            return "done"

        assert answer_of(handler, service=service) == {"Status": "PENDING"}

    def test_pages_of_the_state_are_read_before_the_handler_runs(self) -> None:
        service = FakeService()
        service.pages = {
            "2": StatePage([step_operation(operation_id(None, 1), "one", Name="a")], "3"),
            "3": StatePage([step_operation(operation_id(None, 2), "two", Name="b")], None),
        }

        @durable_execution
        async def two_steps(_: Any, ctx: DurableContext) -> list[str]:
            return [await ctx.step(lambda step: "x", "a"), await ctx.step(lambda step: "x", "b")]

        answer = two_steps.invoke(envelope(marker="2"), None, client=service)
        assert answer["Result"] == '["one","two"]'
        assert service.reads == [("token-0", "2"), ("token-0", "3")]
        assert service.calls == []

    @pytest.mark.parametrize(("status", "retried"), [(429, True), (500, True), (None, True), (400, False)])
    def test_a_page_that_cannot_be_read(self, status: int | None, retried: bool) -> None:
        class Unreadable(FakeService):
            async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
                raise ServiceError("Code", "no page", status=status)

        if retried:
            with pytest.raises(ServiceUnavailableError, match="no page"):
                echo.invoke(envelope(marker="2"), None, client=Unreadable())
        else:
            answer = echo.invoke(envelope(marker="2"), None, client=Unreadable())
            assert answer["Status"] == "FAILED"
            assert "no page" in answer["Error"]["ErrorMessage"]


class TestDecorator:
    def test_it_keeps_what_the_function_is(self) -> None:
        assert echo.name == f"{__name__}:echo"
        assert echo.__dict__["__name__"] == "echo"
        assert echo.function.__module__ == __name__
        assert repr(echo) == f"<durable handler {__name__}:echo>"
        assert isinstance(echo, DurableHandler)

    @pytest.mark.parametrize(
        "function", [lambda: None, lambda payload: None, lambda *, payload, ctx: None], ids=["none", "one", "keywords"]
    )
    def test_a_function_that_cannot_be_a_handler_is_refused(self, function: Any) -> None:
        with pytest.raises(ConfigurationError, match="takes the payload and the context"):
            durable_execution(function)

    def test_any_two_parameters_will_do(self) -> None:
        durable_execution(lambda *args: None)
        durable_execution(lambda payload, *args: None)

    def test_a_word_that_is_no_policy_is_refused(self) -> None:
        with pytest.raises(
            ConfigurationError, match="on_nondeterminism must be 'fail', 'retry' or 'warn', not 'ignore'"
        ):
            durable_execution(on_nondeterminism="ignore")(lambda payload, ctx: None)  # type: ignore[call-overload]

    def test_observers_of_the_call_come_before_the_handlers_own(self) -> None:
        told: list[str] = []

        class Named(Observer):
            def __init__(self, name: str) -> None:
                self.name = name

            def on_invocation_started(self, notification: InvocationStarted) -> None:
                told.append(self.name)

        @durable_execution(observers=[Named("handler's")])
        async def observed(_: Any, ctx: DurableContext) -> None: ...

        invoke(observed, FakeService(), observers=[Named("call's")])
        assert told == ["call's", "handler's"]

    def test_a_service_client_is_used_as_it_is(self) -> None:
        service = FakeService()
        handler = durable_execution(client=service)(one_step.function)
        assert handler(envelope(), None)["Status"] == "SUCCEEDED"
        assert len(service.calls) == 1

    def test_a_boto3_client_is_put_behind_the_seam(self) -> None:
        class Boto:
            def checkpoint_durable_execution(self, **options: Any) -> Any:
                return {"CheckpointToken": "next", "NewExecutionState": {"Operations": []}}

        handler = durable_execution(client=Boto())(one_step.function)  # type: ignore[call-overload]
        assert handler(envelope(), None)["Result"] == '"stepped"'

    def test_a_logger_of_the_applications_own_is_used(self, caplog: pytest.LogCaptureFixture) -> None:
        @durable_execution(logger=logging.getLogger("shop"))
        async def logs(_: Any, ctx: DurableContext) -> None:
            ctx.logger.warning("hello")

        invoke(logs, FakeService())
        assert [(record.name, record.getMessage()) for record in caplog.records] == [("shop", "hello")]


class TestContext:
    def test_it_knows_when_the_execution_started(self) -> None:
        started: list[Any] = []

        async def handler(_: Any, ctx: DurableContext) -> None:
            started.append(ctx.started_at)
            await ctx.run_in_child_context(child_of)

        async def child_of(child: DurableContext) -> None:
            started.append(child.started_at)

        def blocking(_: Any, ctx: BlockingContext) -> None:
            started.append(ctx.started_at)

        event = envelope()
        event["InitialExecutionState"]["Operations"][0]["StartTimestamp"] = 1_767_225_600_000
        for function in (handler, blocking):
            durable_execution(client=FakeService())(function)(event)
        assert started == [datetime(2026, 1, 1, tzinfo=UTC)] * 3

    def test_it_knows_the_id_of_its_next_operation(self) -> None:
        service = FakeService()
        seen: list[str] = []

        async def handler(_: Any, ctx: DurableContext) -> None:
            seen.extend((ctx.next_operation_id, ctx.next_operation_id))
            await ctx.step(lambda step: 1)
            seen.append(ctx.next_operation_id)

        def blocking(_: Any, ctx: BlockingContext) -> None:
            seen.append(ctx.next_operation_id)

        answer_of(handler, service=service)
        answer_of(blocking)
        first = operation_id(None, 1)
        assert seen == [first, first, operation_id(None, 2), first]
        assert service.calls[0][0]["Id"] == first

    def test_its_log_records_say_whether_it_replays(self, caplog: pytest.LogCaptureFixture) -> None:
        @durable_execution(log_while_replaying=True)
        async def handler(_: Any, ctx: DurableContext) -> None:
            ctx.logger.info("before")
            await ctx.step(lambda step: step.logger.info("in"))
            ctx.logger.info("after")

        with caplog.at_level(logging.INFO, "durable_execution.user"):
            invoke(handler, FakeService())
            invoke(handler, FakeService(), operations=[step_operation(operation_id(None, 1), None)])
        said = [(record.getMessage(), record.__dict__["isReplaying"]) for record in caplog.records]
        assert said == [("before", False), ("in", False), ("after", False), ("before", True), ("after", False)]
