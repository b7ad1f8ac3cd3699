"""Credentials as botocore finds them on Lambda, in containers and with roles, against stubs; each call's signature is checked."""

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution.errors import ConfigurationError, ServiceError
from durable_execution.runtime import endpoint as endpoint_module
from durable_execution.runtime.client import LambdaService
from durable_execution.runtime.endpoint import make_client
from tests.loopback_service import ENVIRONMENT, LoopbackService
from tests.unit.fake_service import ARN
from tests.unit.runtime.test_transport import UPDATE, environment, new_session, send, service, transport

__all__ = ["service"]

STS = """<{0}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{0}Result><Credentials>
<AccessKeyId>AKIAROLE</AccessKeyId><SecretAccessKey>{1}</SecretAccessKey><SessionToken>role-token</SessionToken>
<Expiration>{2}</Expiration></Credentials></{0}Result></{0}Response>"""


class Issuer:
    """A server that gives out credentials.

    Attributes:
        url: Its address.
        bodies: Body or authorization header of each request.
        answer: Makes the answer.
        status: HTTP status of the answers.
    """

    def __init__(self, answer: Callable[[str], str]) -> None:
        issuer = self
        self.bodies: list[str] = []
        self.answer = answer
        self.status = 200

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(self.headers.get("Authorization") or "")

            def do_POST(self) -> None:
                self.reply(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def reply(self, said: str) -> None:
                issuer.bodies.append(said)
                body = issuer.answer(said).encode()
                self.send_response(issuer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it is called with
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer(lambda _: "")
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def bare(service: LoopbackService, monkeypatch: pytest.MonkeyPatch) -> LoopbackService:
    """The service, and an environment without credentials. The session is the SDK's own: a credential needs further clients."""
    monkeypatch.setattr(endpoint_module, "_session", new_session)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    return service


def soon(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def container(secret: str, minutes: float) -> str:
    return json.dumps(
        {"AccessKeyId": "AKIABOX", "SecretAccessKey": secret, "Token": "box-token", "Expiration": soon(minutes)}
    )


def test_a_role_of_a_profile_is_assumed(
    bare: LoopbackService, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    issuer.answer = lambda _: STS.format("AssumeRole", bare.secret, soon(60))
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = base\n"
        "[profile shop]\nrole_arn = arn:aws:iam::123456789012:role/shop\nsource_profile = base\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "shop")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", issuer.url)
    assert send().token == "dG9r"
    assert "Action=AssumeRole&" in issuer.bodies[0]
    assert bare.requests[0].headers["x-amz-security-token"] == "role-token"


def test_a_web_identity_is_exchanged(
    bare: LoopbackService, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    issuer.answer = lambda _: STS.format("AssumeRoleWithWebIdentity", bare.secret, soon(60))
    token = tmp_path / "token"
    token.write_text("who-i-am")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/shop")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", issuer.url)
    assert send().token == "dG9r"
    assert "WebIdentityToken=who-i-am" in issuer.bodies[0]


def test_a_containers_credentials_are_used(
    bare: LoopbackService, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.answer = lambda _: container(bare.secret, 60)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{issuer.url}/role")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc")
    assert send().token == "dG9r"
    assert issuer.bodies == ["Basic abc"]


def test_credentials_that_expire_in_the_middle_are_refreshed(
    bare: LoopbackService, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service stops accepting the old ones; the same transport signs with the new ones, without a failed call."""
    issuer.answer = lambda _: container(bare.secret, 1)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{issuer.url}/role")
    running = transport()
    assert running.checkpoint(ARN, "dG9r", [UPDATE], None).token == "dG9r"
    bare.secret = "rotated"
    assert running.checkpoint(ARN, "dG9r", [UPDATE], None).token == "dG9r"
    issued = len(issuer.bodies)
    issuer.answer = lambda _: container("rotated", 60)
    for _ in range(3):
        assert running.checkpoint(ARN, "dG9r", [UPDATE], None).token == "dG9r"
    assert len(issuer.bodies) == issued + 1
    assert len(bare.requests) == 5


def test_expired_credentials_that_cannot_be_refreshed_say_so(
    bare: LoopbackService, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.answer = lambda _: container(bare.secret, -5)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{issuer.url}/role")
    for calls in (LambdaService(), LambdaService(make_client())):
        with pytest.raises(ServiceError, match="Check this computer's clock") as raised:
            calls.checkpoint_now(ARN, "dG9r", [UPDATE])
        assert raised.value.code == "ExpiredTokenException"
        assert raised.value.is_retriable


def test_a_role_that_is_refused_ends_the_execution_as_a_refusal_of_lambda_does(
    bare: LoopbackService, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    issuer.status = 403
    issuer.answer = lambda _: (
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"
    )
    token = tmp_path / "token"
    token.write_text("who-i-am")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/shop")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", issuer.url)
    for calls in (LambdaService(), LambdaService(make_client())):
        with pytest.raises(ServiceError, match="AccessDenied: not you") as raised:
            calls.checkpoint_now(ARN, "dG9r", [UPDATE])
        assert (raised.value.status, raised.value.is_retriable) == (403, False)
    assert bare.requests == []


@pytest.mark.parametrize(
    ("program", "error", "text"),
    [
        ("echo garbage", ConfigurationError, "Expecting value"),
        ("/nonexistent/program", ServiceError, "/nonexistent/program"),
    ],
)
def test_a_program_that_gives_no_credentials_is_told_of(
    bare: LoopbackService,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    program: str,
    error: type[Exception],
    text: str,
) -> None:
    config = tmp_path / "config"
    config.write_text(f"[profile shop]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "shop")
    with pytest.raises(error, match=f"cannot read its configuration: .*{text}.* credential_process") as raised:
        LambdaService().prepare()
    assert type(raised.value) is error
    assert not isinstance(raised.value, ServiceError) or raised.value.is_retriable


@pytest.mark.parametrize("variable", ["AWS_MAX_ATTEMPTS", "AWS_ENDPOINT_URL_LAMBDA"])
def test_a_variable_that_botocore_cannot_read_is_told_of(
    service: LoopbackService, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "nonsense:1")
    with pytest.raises(ConfigurationError, match=r"nonsense.*variables that start with AWS_"):
        LambdaService().prepare()


def test_an_unknown_mode_of_retries_is_refused_as_boto3_refuses_it(
    service: LoopbackService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", "nonsense")
    with pytest.raises(ServiceError, match=r'InvalidRetryModeError.*"nonsense"') as raised:
        LambdaService().prepare()
    assert not raised.value.is_retriable


def test_a_query_of_the_endpoint_is_kept(service: LoopbackService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"{service.url}/stage?key=1")
    assert LambdaService().checkpoint_now(ARN, "dG9r", [UPDATE]).token == "dG9r"
    target = service.requests[0].target
    assert (target.startswith("/stage/"), target.endswith("/checkpoint?key=1")) == (True, True)


@pytest.mark.parametrize("function", ["shop", None])
def test_the_incoming_trace_is_sent_on_lambda_as_boto3_sends_it(
    service: LoopbackService, monkeypatch: pytest.MonkeyPatch, function: str | None
) -> None:
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    if function is not None:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", function)
    ours, theirs = LambdaService(), LambdaService(make_client())
    for trace in ("Root=1-5759e988-bd862e3f;Sampled=1", "Root=1-5759e989;Lineage=a:1 ä", ""):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
        for calls in (ours, theirs):
            calls.checkpoint_now(ARN, "dG9r", [UPDATE])
    sent = [request.headers.get("x-amzn-trace-id") for request in service.requests]
    assert sent[::2] == sent[1::2]
    assert [each is not None for each in sent[::2]] == [function is not None] * 2 + [False]


def test_an_https_proxy_is_asked_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked: list[bytes] = []

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        proxy = threading.Thread(target=refuse, daemon=True)
        proxy.start()
        environment(
            monkeypatch,
            HTTPS_PROXY=f"http://user:secret@127.0.0.1:{listener.getsockname()[1]}",
            AWS_MAX_ATTEMPTS="1",
        )
        with pytest.raises(ServiceError) as raised:
            send()
        proxy.join(timeout=10)
    assert asked[0].startswith(b"CONNECT lambda.eu-west-1.amazonaws.com:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=" in asked[0]
    assert "secret" not in str(raised.value)


def test_a_users_own_client_is_used_with_its_hooks(service: LoopbackService) -> None:
    import boto3

    seen: list[str] = []
    client: Any = boto3.client("lambda", region_name=ENVIRONMENT["AWS_DEFAULT_REGION"])
    client.meta.events.register("before-call.lambda", lambda model, **_: seen.append(model.name))
    assert LambdaService(client).within(None).checkpoint_now(ARN, "dG9r", [UPDATE]).token == "dG9r"
    assert seen == ["CheckpointDurableExecution"]
