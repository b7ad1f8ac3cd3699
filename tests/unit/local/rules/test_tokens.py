"""Checkpoint tokens: each good once, in one invocation."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution.errors import ServiceError
from durable_execution.local import LocalEngine
from durable_execution.local.rules.tokens import current_token, require_current
from durable_execution.protocol import Wire
from tests.unit.local.scripts import PENDING, Session, done, kinds, register, step, wait

STALE = "Invalid checkpoint token"


def require_stale(session: Session, token: str, arn: str | None = None) -> None:
    client = session.client
    call = {"DurableExecutionArn": arn or session.arn, "CheckpointToken": token}
    for method in (client.checkpoint_durable_execution, client.get_durable_execution_state):
        with pytest.raises(ServiceError) as refused:
            method(**call)
        assert (refused.value.code, refused.value.status) == ("InvalidParameterValueException", 400)
        assert refused.value.message.startswith(STALE)
        assert refused.value.is_stale_token


def test_a_checkpoint_consumes_its_token_and_reading_does_not(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        first = session.token or ""
        for _ in range(3):
            session.client.get_durable_execution_state(DurableExecutionArn=session.arn, CheckpointToken=first)
        session.send()
        assert session.token != first
        require_stale(session, first)
        require_stale(session, "bm9uc2Vuc2U=")
        require_stale(session, session.token or "", session.arn + "x")
        with pytest.raises(ServiceError, match=STALE):
            session.client.checkpoint_durable_execution(
                DurableExecutionArn=session.arn + "x", CheckpointToken=session.token, ClientToken="once"
            )
        session.send(step("a", "START"))
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


def test_a_token_of_an_earlier_invocation_or_another_execution_is_stale(engine: LocalEngine) -> None:
    tokens: list[tuple[str, str]] = []

    def body(session: Session) -> Wire:
        for arn, token in tokens:
            require_stale(session, token, arn)
            require_stale(session, token)
        if session.status("w") is None:
            session.send(wait("w", 1))
            tokens.append((session.arn, session.token or ""))
            return PENDING
        tokens.append((session.arn, session.token or ""))
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"
    assert engine.run("flow").status == "SUCCEEDED"
    assert len(tokens) == 4


def test_a_repeated_request_gets_the_same_answer(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        token = session.token
        session.send(step("a", "START"), client_token="once")
        first = session.answer
        session.send(step("b", "START"), client_token="twice")
        after = session.token
        session.token = token
        session.send(step("a", "START"), client_token="once")
        assert session.answer == first
        session.token = after
        session.send(
            step("c", "START"), client_token="once"
        )  # the same client token with another token is a new request
        assert session.answer != first
        return done()

    register(engine, body)
    assert kinds(engine, engine.run("flow").arn).count("StepStarted") == 3


@pytest.mark.parametrize(("seconds", "is_known"), [(899.5, True), (900.5, False)])
def test_a_repeated_request_is_forgotten_after_a_quarter_of_an_hour(
    engine: LocalEngine, seconds: float, is_known: bool
) -> None:
    def body(session: Session) -> Wire:
        token = session.token or ""
        session.send(step("a", "START"), client_token="once")
        engine.clock.advance_to(engine.clock.now() + timedelta(seconds=seconds))

        def repeat() -> Wire:
            answer: Wire = engine.client.checkpoint_durable_execution(
                DurableExecutionArn=session.arn, CheckpointToken=token, Updates=[], ClientToken="once"
            )
            return answer

        if is_known:
            assert repeat() == session.answer
        else:
            with pytest.raises(ServiceError, match=STALE):
                repeat()
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize(("seconds", "is_known"), [(899.5, True), (900.5, False)])
def test_a_repeated_pause_is_forgotten_after_a_quarter_of_an_hour(
    engine: LocalEngine, verb: str, seconds: float, is_known: bool
) -> None:
    register(engine, lambda session: (session.send(wait("w", 86_400)) and PENDING) or PENDING)
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")
    if verb == "resume":
        engine.client.pause_durable_execution(DurableExecutionArn=arn)
    request = getattr(engine.client, f"{verb}_durable_execution")
    request(DurableExecutionArn=arn, ClientToken="once")
    engine.clock.advance_to(engine.clock.now() + timedelta(seconds=seconds))
    if is_known:
        request(DurableExecutionArn=arn, ClientToken="once")
    else:
        with pytest.raises(ServiceError, match=f"Cannot {verb}"):
            request(DurableExecutionArn=arn, ClientToken="once")


def test_a_refused_request_is_not_remembered(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        with pytest.raises(ServiceError, match="Type must"):
            session.send({"Id": "a", "Type": "?", "Action": "START"}, client_token="once")
        assert session.send(step("a", "START"), client_token="once")
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


@pytest.mark.parametrize("token", ["", "a b", "é", "x" * 65, 7])
def test_a_client_token_is_printable_ascii(engine: LocalEngine, token: object) -> None:
    def body(session: Session) -> Wire:
        with pytest.raises(ServiceError, match="ClientToken must match"):
            session.send(client_token=token)  # type: ignore[arg-type]
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


def test_nothing_can_be_checkpointed_after_the_end(engine: LocalEngine) -> None:
    kept: list[Session] = []

    def body(session: Session) -> Wire:
        session.send()
        kept.append(session)
        return done()

    register(engine, body)
    engine.run("flow")
    require_stale(kept[0], kept[0].token or "")


NOT_GOING_ON: list[dict[str, Any]] = [
    {"is_durable": False},
    {"ending": "FAILED"},
    {"status": "PAUSED"},
    {"status": "STOPPED"},
    {"request_id": None},
]


def test_even_the_current_token_is_good_only_while_a_durable_execution_goes_on(engine: LocalEngine) -> None:
    refused: list[dict[str, Any]] = []

    def body(session: Session) -> Wire:
        row = engine._backend.store.executions.by_arn(session.arn)
        assert row is not None
        for status in ("RUNNING", "PAUSING"):
            going = row._replace(status=status)
            assert require_current(going, current_token(going)) is going
        for change in NOT_GOING_ON:
            other = row._replace(**change)
            with pytest.raises(ServiceError, match=STALE):
                require_current(other, current_token(other))
            refused.append(change)
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"
    assert refused == NOT_GOING_ON
