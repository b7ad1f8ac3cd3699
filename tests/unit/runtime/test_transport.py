"""The signed calls, over real HTTP to a server on this machine that checks their signatures."""

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import NoCredentialsError, NoRegionError
from botocore.loaders import create_loader

from durable_execution.errors import ConfigurationError, ServiceError
from durable_execution.protocol import Operation, Wire
from durable_execution.runtime import endpoint as endpoint_module
from durable_execution.runtime.client import LambdaService
from durable_execution.runtime.endpoint import Endpoint, _host_of, as_service_error, endpoint_of, make_client
from durable_execution.runtime.service import CheckpointAnswer
from durable_execution.runtime.transport import Transport
from tests.loopback_service import ENVIRONMENT, Answer, LoopbackService, arn_of, error, served
from tests.unit.fake_service import ARN

STORED = {"Id": "1", "Type": "STEP", "Status": "SUCCEEDED"}
UPDATE = {"Id": "1", "Type": "STEP", "SubType": "Step", "Name": "a", "Action": "SUCCEED", "Payload": '"ä\ud83d"'}
LOADER = create_loader()
new_session = endpoint_module._session
OK: Answer = (200, {}, b'{"CheckpointToken":"next","NewExecutionState":{}}')


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackService]:
    with served() as running:
        environment(monkeypatch, AWS_ENDPOINT_URL_LAMBDA=running.url)
        yield running


def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Configure AWS from the environment only."""
    for name in (
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "AWS_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setattr(endpoint_module, "_session", session_with_loaded_models)
    for name, value in (ENVIRONMENT | variables).items():
        monkeypatch.setenv(name, value)


def session_with_loaded_models(**_options: bool) -> Any:
    """A session that does not read botocore's large data files again."""
    session = new_session(has_operations=True)
    session.register_component("data_loader", LOADER)
    return session


def resolved() -> Endpoint:
    """The endpoint that the environment configures."""
    found = endpoint_of(make_client())
    assert found is not None, "the installed botocore is not understood, so that every call goes through boto3"
    return found


def transport(delays: list[float] | None = None) -> Transport:
    return Transport(resolved(), sleep=(delays if delays is not None else []).append)


def send(
    updates: list[Wire] | None = None, delays: list[float] | None = None, left: float | None = None
) -> CheckpointAnswer:
    remaining = None if left is None else lambda: left
    return transport(delays).checkpoint(ARN, "dG9r", [UPDATE] if updates is None else updates, remaining)


class TestRequest:
    def test_a_checkpoint_is_signed_sent_and_answered(self, service: LoopbackService) -> None:
        answer = send()
        assert answer.token == "dG9r"
        (operation,) = answer.operations
        assert Operation(operation).status == "SUCCEEDED"
        assert Operation(operation).started_at == datetime(2026, 1, 1, 0, 0, 0, 123000, UTC)
        (request,) = service.requests
        assert (request.method, arn_of(request)) == ("POST", ARN)
        assert request.json["Updates"] == [UPDATE]
        assert request.headers["x-amz-security-token"] == ENVIRONMENT["AWS_SESSION_TOKEN"]
        assert "durable-execution-sdk" in request.headers["user-agent"]

    def test_it_is_the_request_that_boto3_makes(self, service: LoopbackService) -> None:
        client: Any = boto3.client("lambda", config=Config(user_agent_extra="durable-execution-sdk"))
        client.checkpoint_durable_execution(DurableExecutionArn=ARN, CheckpointToken="dG9r", Updates=[UPDATE])
        client.get_durable_execution_state(DurableExecutionArn=ARN, CheckpointToken="a+/=", Marker="m&", MaxItems=1000)
        send()
        transport().get_state(ARN, "a+/=", "m&", None)
        theirs, ours = service.requests[:2], service.requests[2:]
        assert [request.target.split("?")[0] for request in ours] == [
            request.target.split("?")[0] for request in theirs
        ]
        assert set(ours[1].target.split("?")[1].split("&")) == set(theirs[1].target.split("?")[1].split("&"))
        assert [*ours[0].json] == [*theirs[0].json]
        assert ours[0].json["Updates"] == theirs[0].json["Updates"]
        assert len(ours[0].json["ClientToken"]) == len(theirs[0].json["ClientToken"]) == 36
        assert ours[0].headers["content-type"] == theirs[0].headers["content-type"]
        signed = [
            request.headers["authorization"].split("SignedHeaders=")[1].split(",")[0] for request in service.requests
        ]
        assert signed == [signed[0], signed[1]] * 2

    def test_a_page_is_read(self, service: LoopbackService) -> None:
        service.script.append((200, {}, json.dumps({"Operations": [STORED], "NextMarker": "n"}).encode()))
        page = transport().get_state(ARN, "dG9r", "m", None)
        assert (page.operations, page.next_marker) == ([STORED], "n")

    def test_calls_share_one_connection(self, service: LoopbackService) -> None:
        sender = transport()
        for _ in range(3):
            sender.checkpoint(ARN, "dG9r", [], None)
        assert service.connections == 1

    def test_a_wrong_secret_is_refused(self, service: LoopbackService) -> None:
        service.secret = "another"
        with pytest.raises(ServiceError, match="InvalidSignatureException: the signature does not match") as raised:
            send()
        assert (raised.value.status, raised.value.is_retriable) == (403, False)

    def test_credentials_are_refreshed_between_calls(self, service: LoopbackService) -> None:
        client = make_client()
        taken: list[int] = []

        def refresh() -> dict[str, str]:
            taken.append(1)
            soon = datetime.now(UTC) + timedelta(minutes=1)
            expiry = soon.isoformat() if len(taken) == 1 else "2100-01-01T00:00:00Z"
            return {"access_key": "A", "secret_key": service.secret, "token": f"t{len(taken)}", "expiry_time": expiry}

        client._request_signer._credentials = RefreshableCredentials(
            "A", "stale", "t0", datetime(2020, 1, 1, tzinfo=UTC), refresh, "test"
        )
        found = endpoint_of(client)
        assert found is not None
        sender = Transport(found)
        for _ in range(3):
            sender.checkpoint(ARN, "dG9r", [], None)
        assert [request.headers["x-amz-security-token"] for request in service.requests] == ["t1", "t2", "t2"]


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "status", "message", "retriable", "attempts"),
        [
            ("TooManyRequestsException", 429, "Rate exceeded", True, 3),
            ("ServiceException", 500, "oops", True, 3),
            ("InvalidParameterValueException", 400, "Invalid checkpoint token", True, 1),
            ("InvalidParameterValueException", 400, "Inconsistent operation type.", False, 1),
            ("KMSAccessDeniedException", 502, "no key", False, 3),
        ],
    )
    def test_what_the_service_says_is_kept(
        self, service: LoopbackService, code: str, status: int, message: str, retriable: bool, attempts: int
    ) -> None:
        service.script += [error(status, code, message)] * attempts
        with pytest.raises(ServiceError) as raised:
            send()
        found = raised.value
        assert (found.code, found.message, found.status, found.is_retriable) == (code, message, status, retriable)
        assert len(service.requests) == attempts

    def test_a_passing_failure_is_tried_again_with_the_same_client_token(self, service: LoopbackService) -> None:
        service.script += [error(500, "ServiceException", "oops"), error(503, "Unavailable", "oops"), OK]
        delays: list[float] = []
        assert send(delays=delays).token == "next"
        assert len({request.json["ClientToken"] for request in service.requests}) == 1
        assert len(delays) == 2
        assert all(0 <= delay <= 2**number for number, delay in enumerate(delays))

    def test_the_number_of_attempts_is_the_configured_one(
        self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
        service.script += [error(500, "ServiceException", "oops")] * 2
        with pytest.raises(ServiceError, match="oops"):
            send()
        assert len(service.requests) == 2

    def test_a_request_that_an_idle_connection_loses_is_sent_again_at_once(self, service: LoopbackService) -> None:
        delays: list[float] = []
        sender = transport(delays)
        sender.checkpoint(ARN, "dG9r", [], None)
        service.script.append(None)
        assert sender.checkpoint(ARN, "dG9r", [], None).token == "dG9r"
        assert delays == []
        first, lost, repeated = (request.json["ClientToken"] for request in service.requests)
        assert first != lost == repeated

    def test_a_new_connection_that_is_closed_is_tried_again_later(self, service: LoopbackService) -> None:
        service.script += [None, OK]
        delays: list[float] = []
        assert send(delays=delays).token == "next"
        assert len(delays) == 1

    def test_a_connection_that_the_service_closed_while_idle_is_replaced(self, service: LoopbackService) -> None:
        sender = transport()
        sender.checkpoint(ARN, "dG9r", [], None)
        service.hang_up()
        sender.checkpoint(ARN, "dG9r", [], None)
        assert service.connections == 2

    def test_an_answer_that_is_not_json_names_the_endpoint(self, service: LoopbackService) -> None:
        service.script += [(200, {}, b"<html>Log in to the hotel's network</html>")] * 3
        with pytest.raises(ServiceError, match=r"<html>Log in.*Check the endpoint and the proxy") as raised:
            send()
        assert raised.value.is_retriable

    def test_an_answer_without_a_body_is_named_by_its_status(self, service: LoopbackService) -> None:
        service.script += [(404, {}, b"")]
        with pytest.raises(ServiceError, match="Http404"):
            send()

    @pytest.mark.parametrize(
        "body", [b"", b"{}", b"null", b"[]", b'{"CheckpointToken":""}', b'{"NewExecutionState":[1]}']
    )
    def test_an_empty_answer_is_an_error_and_not_the_end(self, service: LoopbackService, body: bytes) -> None:
        service.script += [(200, {}, body)] * 3
        with pytest.raises(ServiceError, match="Check the endpoint and the proxy") as raised:
            send()
        assert raised.value.is_retriable
        assert service.script == []

    def test_a_truncated_answer_is_asked_for_again(self, service: LoopbackService) -> None:
        service.script += [(200, {}, b'{"CheckpointToken":"dG9r","NewExec'), (200, {}, b"{}")]
        assert send().token
        assert len({request.json["ClientToken"] for request in service.requests}) == 1

    def test_an_error_of_another_shape_is_read(self, service: LoopbackService) -> None:
        service.script += [(400, {}, b'{"__type":"com.amazonaws#ExpiredTokenException","Message":"expired"}')]
        with pytest.raises(ServiceError, match="ExpiredTokenException: expired"):
            send()

    def test_a_host_that_does_not_answer_says_what_to_check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        environment(monkeypatch, AWS_ENDPOINT_URL_LAMBDA=f"http://127.0.0.1:{port}")
        with pytest.raises(ServiceError, match="VPC endpoint, security groups and proxy") as raised:
            send()
        assert raised.value.code == "EndpointConnectionError"
        assert raised.value.is_retriable


class TestDeadline:
    def test_no_call_is_started_past_the_end_of_the_invocation(self, service: LoopbackService) -> None:
        with pytest.raises(
            ServiceError, match=r"not started, 0\.0 seconds before the time-out.*raise the function's time-out"
        ):
            send(left=0.01)
        assert service.requests == []

    def test_no_call_is_repeated_past_the_end_of_the_invocation(self, service: LoopbackService) -> None:
        service.script += [error(500, "ServiceException", "oops")]
        left = iter([10.0, 10.0, 0.01, 0.01, 0.01])
        with pytest.raises(ServiceError, match=r"DeadlineExceeded.*oops") as raised:
            transport().checkpoint(ARN, "dG9r", [UPDATE], lambda: next(left))
        assert raised.value.is_retriable
        assert len(service.requests) == 1

    def test_an_answer_that_comes_too_late_is_not_waited_for(self, service: LoopbackService) -> None:
        left = iter([0.2, 0.2, 0.0, 0.0, 0.0])
        service.script += [lambda: _never(service)]
        with pytest.raises(ServiceError, match="DeadlineExceeded"):
            transport().checkpoint(ARN, "dG9r", [UPDATE], lambda: next(left))
        assert len(service.requests) <= 1, "it is not sent again, even if the time was over before it arrived"

    def test_a_client_of_the_users_starts_no_call_either(self) -> None:
        class Client:
            def checkpoint_durable_execution(self, **options: Any) -> Any:
                raise AssertionError

        with pytest.raises(ServiceError, match="DeadlineExceeded"):
            LambdaService(Client()).within(lambda: 0.0).checkpoint_now(ARN, "dG9r", [])  # type: ignore[arg-type]


def _never(service: LoopbackService) -> None:
    """Answer only when the client has gone: the connection closes then."""
    connection = service._open[-1]
    connection.settimeout(20)
    connection.recv(1)


class TestConfiguration:
    def url_of(self, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Endpoint:
        environment(monkeypatch, **variables)
        return resolved()

    @pytest.mark.parametrize(
        ("variables", "url"),
        [
            ({}, "https://lambda.eu-west-1.amazonaws.com"),
            ({"AWS_DEFAULT_REGION": "cn-north-1"}, "https://lambda.cn-north-1.amazonaws.com.cn"),
            (
                {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_DEFAULT_REGION": "us-east-1"},
                "https://lambda-fips.us-east-1.amazonaws.com",
            ),
            ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://lambda.eu-west-1.api.aws"),
            ({"AWS_ENDPOINT_URL": "http://localhost:9000/lambda/"}, "http://localhost:9000/lambda"),
        ],
        ids=["region", "partition", "FIPS", "dual stack", "custom"],
    )
    def test_botocore_resolves_the_endpoint(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
    ) -> None:
        assert self.url_of(monkeypatch, **variables).url == url

    def test_a_path_of_the_endpoint_comes_before_the_path_of_the_call(
        self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"{service.url}/proxied")
        send()
        assert service.requests[0].target.startswith("/proxied/2025-12-01/durable-executions/arn")

    def test_an_http_proxy_is_sent_the_whole_url(
        self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environment(monkeypatch, AWS_ENDPOINT_URL_LAMBDA="http://lambda.invalid", HTTP_PROXY=service.url)
        service.script.append(OK)
        assert send().token == "next"
        assert service.requests[0].target.startswith("http://lambda.invalid/2025-12-01/durable-executions/")

    def test_hosts_may_bypass_the_proxy(self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert send().token == "dG9r"

    def test_a_profile_gives_region_credentials_and_endpoint(
        self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        for name in ENVIRONMENT:
            monkeypatch.delenv(name)
        monkeypatch.delenv("AWS_ENDPOINT_URL_LAMBDA")
        file = tmp_path / "config"
        file.write_text(
            f"[profile shop]\nregion = eu-west-1\naws_access_key_id = A\naws_secret_access_key = {service.secret}\n"
            f"endpoint_url = {service.url}\nretry_mode = legacy\nmax_attempts = 4\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        monkeypatch.setenv("AWS_PROFILE", "shop")
        assert send().token == "dG9r"
        assert resolved().attempts == 4

    def test_boto3s_default_session_is_used_if_the_program_has_set_one_up(
        self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = boto3.Session(aws_access_key_id="B", aws_secret_access_key="wrong", region_name="eu-west-1")
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
        with pytest.raises(ServiceError, match="signature does not match"):
            send()

    def test_the_certificates_are_those_of_the_environment_and_loaded_once(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        from botocore.httpsession import get_cert_path

        bundle = tmp_path / "bundle.pem"
        text = Path(str(get_cert_path(True))).read_text(encoding="utf-8")
        end = "-----END CERTIFICATE-----"
        bundle.write_text(text[: text.index(end) + len(end)])
        found = self.url_of(monkeypatch, AWS_CA_BUNDLE=str(bundle))
        assert found.pool.cert_reqs == "CERT_REQUIRED"
        assert found.pool.ca_certs is None
        assert len(found.pool.conn_kw["ssl_context"].get_ca_certs()) == 1
        assert not found.trust_more()

    def test_adaptive_retries_go_through_boto3(self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
        assert endpoint_of(make_client()) is None
        assert LambdaService().checkpoint_now(ARN, "dG9r", [UPDATE]).token == "dG9r"
        assert "durable-execution-sdk" in service.requests[0].headers["user-agent"]

    @pytest.mark.parametrize("at", ['"soon"', "1e300", "[]"])
    def test_an_answer_that_boto3_cannot_read_is_an_error_of_the_service(
        self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch, at: str
    ) -> None:
        monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
        operation = '{"Id":"1","Type":"STEP","Status":"STARTED","StartTimestamp":%s}' % at  # noqa: UP031  # braces
        service.script.append((200, {}, ('{"NewExecutionState":{"Operations":[%s]}}' % operation).encode()))  # noqa: UP031
        with pytest.raises(ServiceError, match="not one of the Lambda API") as raised:
            LambdaService().checkpoint_now(ARN, "dG9r", [UPDATE])
        assert raised.value.is_retriable

    def test_an_unknown_botocore_goes_through_its_client(
        self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = make_client()
        monkeypatch.delattr(client, "_request_signer")
        assert endpoint_of(client) is None

    def test_a_missing_region_is_an_error_that_no_retry_fixes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        environment(monkeypatch)
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        with pytest.raises(ServiceError, match="NoRegionError: You must specify a region") as raised:
            LambdaService().prepare()
        assert not raised.value.is_retriable

    def test_missing_credentials_are_found_before_the_first_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        environment(monkeypatch)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(ServiceError, match="NoCredentialsError") as raised:
            LambdaService().prepare()
        assert not raised.value.is_retriable

    @pytest.mark.parametrize(
        "module", ["botocore.config", "botocore.exceptions", "botocore.session", "urllib3.connectionpool"]
    )
    def test_a_missing_botocore_is_a_configuration_error(self, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
        environment(monkeypatch)
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ConfigurationError, match="Add boto3 to the deployment package"):
            LambdaService().prepare()

    def test_errors_of_botocore_are_told_apart(self) -> None:
        assert as_service_error(NoCredentialsError()).status == 400
        assert as_service_error(NoRegionError()).status == 400


class TestService:
    def test_the_environment_is_read_once_for_all_invocations(
        self, service: LoopbackService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[object] = []

        def make(**options: bool) -> Any:
            made.append(object())
            return make_client(**options)

        monkeypatch.setattr("durable_execution.runtime.client.make_client", make)
        environment_service = LambdaService()
        assert made == []
        for left in (10.0, 20.0):
            bound = environment_service.within(lambda left=left: left)  # type: ignore[misc]
            assert bound.checkpoint_now(ARN, "dG9r", []).token == "dG9r"
            assert asyncio.run(bound.checkpoint(ARN, "dG9r", [])).token == "dG9r"
            assert asyncio.run(bound.get_state(ARN, "dG9r", "m")).operations == []
        assert len(made) == 1
        assert service.connections == 1

    def test_time_outs_are_shorter_than_an_invocation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        environment(monkeypatch)
        found = resolved()
        assert (found.connect_timeout, found.read_timeout) == (
            endpoint_module.CONNECT_TIMEOUT_SECONDS,
            endpoint_module.READ_TIMEOUT_SECONDS,
        )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://lambda.example", "lambda.example"),
        ("https://lambda.example:443/", "lambda.example"),
        ("http://lambda.example:80", "lambda.example"),
        ("https://lambda.example:80", "lambda.example:80"),
        ("http://lambda.example:443", "lambda.example:443"),
        ("http://[::1]:9000", "[::1]:9000"),
    ],
)
def test_the_host_names_a_port_that_is_not_the_schemes_own(url: str, host: str) -> None:
    assert _host_of(url) == host
