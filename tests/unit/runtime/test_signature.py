"""The signature of the two calls is the one of botocore's own signer."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from botocore import auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.runtime.signature import Signer
from durable_execution.runtime.transport import _path_of, _quoted

START = datetime(2026, 1, 1, 23, 59, 58, tzinfo=UTC)
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
ANY = st.text(st.characters(codec="utf-8"), min_size=1)


class Account:
    """Stands in for botocore's request signer: gives out credentials, which change."""

    def __init__(self, secret: str = "secret", token: str | None = "token") -> None:
        self.secret = secret
        self.token = token

    def get_auth_instance(self, name: str, region: str, version: str) -> Any:
        assert version == "v4"
        return SigV4Auth(ReadOnlyCredentials("AKIA", self.secret, self.token), name, region)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now.timestamp()


def endpoint(account: Account, host: str = "lambda.eu-west-1.amazonaws.com", region: str = "eu-west-1") -> Any:
    return cast("Any", SimpleNamespace(signer=account, host=host, region=region, signing_name="lambda"))


def by_botocore(found: Any, method: str, target: str, body: bytes | None, at: datetime) -> dict[str, str]:
    headers = {"Host": found.host} | ({"Content-Type": "application/json"} if body is not None else {})
    request: Any = AWSRequest(method=method, url=f"https://{found.host}{target}", headers=headers, data=body or b"")
    with patch.object(auth, "get_current_datetime", lambda: at):
        found.signer.get_auth_instance("lambda", found.region, "v4").add_auth(request)
    return dict(request.headers.items())


@given(
    secret=ANY,
    token=st.none() | VISIBLE,
    region=VISIBLE,
    arn=ANY,
    marker=ANY,
    base=st.sampled_from(["", "/stage", "/a//b/../c", "/a%20b"]),
    body=st.none() | st.binary(max_size=40),
)
def test_it_is_that_of_botocore(
    secret: str, token: str | None, region: str, arn: str, marker: str, base: str, body: bytes | None
) -> None:
    found, method = endpoint(Account(secret, token), "127.0.0.1:8080", region), "GET" if body is None else "POST"
    target = f"{base}{_path_of(arn)}/state"
    if body is None:
        target += f"?CheckpointToken={_quoted(marker)}&Marker={_quoted(marker)}&MaxItems=1000"
    signed = Signer(found, clock=Clock()).signed(method, target, body)
    assert signed == by_botocore(found, method, target, body, START)


def test_each_day_and_each_secret_has_a_key_of_its_own() -> None:
    account, clock = Account(), Clock()
    found = endpoint(account)
    signer = Signer(found, clock=clock)
    for secret, days in (("secret", 0), ("secret", 1), ("rotated", 1), ("secret", 1), ("secret", 0)):
        account.secret, clock.now = secret, START + timedelta(days=days)
        assert signer.signed("POST", "/", b"{}") == by_botocore(found, "POST", "/", b"{}", clock.now)
