"""The configuration of the service without botocore's large files and bundles: the same, in a fraction of the time."""

import itertools
import json
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    CredentialRetrievalError,
    EndpointConnectionError,
    EndpointVariantError,
    MetadataRetrievalError,
)
from botocore.httpsession import get_cert_path
from botocore.loaders import JSONFileLoader, create_loader
from botocore.regions import EndpointResolver
from botocore.retries.standard import DEFAULT_MAX_ATTEMPTS
from botocore.session import get_session

from durable_execution.errors import ConfigurationError, ServiceError
from durable_execution.runtime import endpoint as endpoint_module
from durable_execution.runtime.client import LambdaService
from durable_execution.runtime.endpoint import (
    API_VERSION,
    RESOLVED_OPERATION,
    Endpoint,
    _endpoints_in,
    _model_without_operations,
    as_service_error,
    endpoint_of,
    make_client,
)
from tests.loopback_service import ENVIRONMENT, LoopbackService
from tests.unit.fake_service import ARN

COMPARED = ("hostname", "protocols", "signatureVersions", "credentialScope", "partition")


def regions() -> Iterator[str]:
    for partition in create_loader().load_data("partitions")["partitions"]:
        yield from partition["regions"]


def known(resolver: Any, region: str, *, fips: bool, dual: bool) -> dict[str, Any] | None:
    try:
        found = resolver.construct_endpoint("lambda", region, use_fips_endpoint=fips, use_dualstack_endpoint=dual)
    except EndpointVariantError:
        return None
    return found and {name: found.get(name) for name in COMPARED}


def test_derived_endpoints_are_those_of_the_file() -> None:
    loader = create_loader()
    whole = EndpointResolver(loader.load_data("endpoints"))
    derived = EndpointResolver(
        {"partitions": [_endpoints_in(each) for each in loader.load_data("partitions")["partitions"]]}
    )
    compared = 0
    for region, fips, dual in itertools.product(regions(), (False, True), (False, True)):
        expected = known(whole, region, fips=fips, dual=dual)
        if expected is not None:  # the rules refuse a variant that a partition does not have
            assert known(derived, region, fips=fips, dual=dual) == expected, (region, fips, dual)
            compared += 1
    assert compared > 150


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []
    load = JSONFileLoader.load_file

    def noted(self: Any, path: str) -> Any:
        found = load(self, path)
        if found is not None:
            read.append(Path(path).name)
        return found

    monkeypatch.setattr(JSONFileLoader, "load_file", noted)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_DATA_PATH", raising=False)
    monkeypatch.delitem(sys.modules, "boto3", raising=False)  # another test's default session has a loader of its own
    return read


@pytest.mark.parametrize(
    ("region", "is_read", "url"),
    [
        ("eu-central-1", False, "https://lambda.eu-central-1.amazonaws.com"),
        ("cn-north-1", False, "https://lambda.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", False, "https://lambda.us-gov-west-1.amazonaws.com"),
        ("fips-us-east-1", True, "https://lambda-fips.us-east-1.amazonaws.com"),
    ],
)
def test_the_file_is_read_only_for_regions_that_no_partition_names(
    monkeypatch: pytest.MonkeyPatch, files_read: list[str], region: str, is_read: bool, url: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AWS_REGION", region)
    assert make_client().meta.endpoint_url == url
    assert ("endpoints" in files_read) is is_read


def test_a_file_of_the_user_is_read(monkeypatch: pytest.MonkeyPatch, files_read: list[str], tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(json.dumps(create_loader().load_data("endpoints")), encoding="utf-8")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    files_read.clear()
    make_client()
    assert "endpoints" in files_read


def test_the_model_without_operations_says_what_botocores_says() -> None:
    loader = create_loader()
    assert loader.determine_latest_version("lambda", "service-2") == API_VERSION
    whole, own = loader.load_service_model("lambda", "service-2"), _model_without_operations()
    assert own["metadata"] == whole["metadata"]
    assert own["operations"][RESOLVED_OPERATION].items() <= whole["operations"][RESOLVED_OPERATION].items()
    assert not {"clientContextParams", "clientContextParameters"} & set(whole)


def comparable(found: Endpoint | None) -> dict[str, object]:
    assert found is not None
    return {name: value for name, value in found._asdict().items() if name not in ("pool", "signer", "trust_more")}


@pytest.mark.parametrize("variables", [{}, {"AWS_USE_FIPS_ENDPOINT": "true"}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}])
def test_the_model_is_read_only_for_a_client_that_makes_the_calls(
    monkeypatch: pytest.MonkeyPatch, files_read: list[str], variables: dict[str, str]
) -> None:
    for name, value in (variables | {"AWS_DEFAULT_REGION": "us-west-2"}).items():
        monkeypatch.setenv(name, value)
    found = endpoint_of(make_client(has_operations=False))
    assert "service-2" not in files_read
    client = make_client()
    assert "service-2" in files_read
    assert comparable(found) == comparable(endpoint_of(client))
    assert callable(client.checkpoint_durable_execution)


def test_only_further_clients_have_botocores_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of STS calls operations. The client that the configuration is taken from does not, and few sessions have more."""
    made: list[Any] = []
    session_for = endpoint_module._session

    def remembered(**options: Any) -> Any:
        made.append(session_for(**options))
        return made[-1]

    monkeypatch.setattr(endpoint_module, "_session", remembered)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    if "boto3" in sys.modules:
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)

    def handlers(client: Any) -> int:
        return len(client.meta.events.emit("choose-service-name", service_name="runtime.sagemaker"))

    assert handlers(make_client(has_operations=False)) == 0
    assert [handlers(made[0].create_client("sts")) for _ in range(2)] == [1, 1]
    assert handlers(make_client()) == 1
    assert handlers(made[1].create_client("sts")) == 1


def test_a_model_of_the_user_is_read(monkeypatch: pytest.MonkeyPatch, files_read: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "lambda" / API_VERSION
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(create_loader().load_service_model("lambda", "service-2")))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    files_read.clear()
    make_client(has_operations=False)
    assert "service-2" in files_read


KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtXb2RaohAdZLQQk0
cARou4ixm0f69JYDarHwK0lhXYWhRANCAAQBBy3Fb8PmttaiJ1qUM3eNeBhbi07C
9cso2BDAuLGZt8flhdY9tXLVXU92D8223CywKuXmiRdmRvUemNnSYdx+
-----END PRIVATE KEY-----
"""  # of the certificate below: it protects nothing
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBpjCCAUugAwIBAgIUWpiH3bhXToS8lO864bc/7NjRAWowCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTE2MTMyMFoYDzIxMjYxMTA1
MTYxMzIwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQBBy3Fb8PmttaiJ1qUM3eNeBhbi07C9cso2BDAuLGZt8flhdY9tXLV
XU92D8223CywKuXmiRdmRvUemNnSYdx+o3kwdzAdBgNVHQ4EFgQUVRRbq2i6vTnA
WKMyfE2npH4jCH0wHwYDVR0jBBgwFoAUVRRbq2i6vTnAWKMyfE2npH4jCH0wDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwDgYDVR0PAQH/BAQD
AgKEMAoGCCqGSM49BAMCA0kAMEYCIQCF2yTevrfH8uQso04F9rAPXwYoc9u1GFZE
LrR8xzx3MgIhANtcQvQ86L4RrTQkAqylW+JDpxEFt9Oqqmc5xZI+5ybl
-----END CERTIFICATE-----
"""


def authorities(bundle: str, *names: str) -> str:
    """The entries of a bundle whose subject has one of the names."""
    entries = bundle.split("# Issuer: ")[1:]
    return "".join(f"# Issuer: {entry}" for entry in entries if any(name in entry for name in names))


@pytest.fixture
def encrypted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackService]:
    """A service whose address is treated like AWS's, and whose certificate is not of Amazon's authorities."""
    (tmp_path / "server.pem").write_text(KEY + CERTIFICATE)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    with LoopbackService(tls=tls) as running:
        variables = ENVIRONMENT | {"AWS_ENDPOINT_URL_LAMBDA": running.url, "AWS_CONFIG_FILE": "/nonexistent"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.delitem(sys.modules, "boto3", raising=False)
        monkeypatch.setattr(endpoint_module, "AMAZONS_DOMAINS", ("localhost",))
        yield running


def bundle_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """Make botocore use a bundle where none is configured."""
    (tmp_path / "bundle.pem").write_text(text)
    monkeypatch.setattr("botocore.httpsession.where", lambda: str(tmp_path / "bundle.pem"))


def amazons() -> str:
    return authorities(Path(str(get_cert_path(True))).read_text(encoding="utf-8"), "CN=Amazon Root CA")


def test_an_endpoint_of_aws_is_trusted_by_amazons_authorities_first(
    monkeypatch: pytest.MonkeyPatch, encrypted: LoopbackService, tmp_path: Path
) -> None:
    bundle_of(monkeypatch, tmp_path, amazons() + f"# Issuer: CN=localhost\n{CERTIFICATE}")
    found = endpoint_of(make_client(has_operations=False))
    assert found is not None
    context = found.pool.conn_kw["ssl_context"]
    assert len(context.get_ca_certs()) == 4
    assert found.trust_more()
    assert len(context.get_ca_certs()) == 5


def test_the_others_are_trusted_when_they_are_needed(
    monkeypatch: pytest.MonkeyPatch, encrypted: LoopbackService, tmp_path: Path
) -> None:
    bundle_of(monkeypatch, tmp_path, amazons() + f"# Issuer: CN=localhost\n{CERTIFICATE}")
    service = LambdaService()
    assert service.checkpoint_now(ARN, "dG9r", []).token == "dG9r"
    assert service.checkpoint_now(ARN, "dG9r", []).token == "dG9r"
    assert encrypted.connections == 2  # the first was refused, the second is kept


def test_a_certificate_of_none_of_them_is_refused(
    monkeypatch: pytest.MonkeyPatch, encrypted: LoopbackService, tmp_path: Path
) -> None:
    bundle_of(monkeypatch, tmp_path, amazons())
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ServiceError, match=r"SSLError.*certificate verify failed"):
        LambdaService().checkpoint_now(ARN, "dG9r", [])
    assert encrypted.requests == []


@pytest.mark.parametrize("variables", [{"AWS_CA_BUNDLE": "own.pem"}, {}], ids=["configured", "without comments"])
def test_other_bundles_are_loaded_whole(
    monkeypatch: pytest.MonkeyPatch, encrypted: LoopbackService, tmp_path: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "own.pem").write_text(amazons() + f"# Issuer: CN=localhost\n{CERTIFICATE}")
    bundle_of(monkeypatch, tmp_path, CERTIFICATE)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert LambdaService().checkpoint_now(ARN, "dG9r", []).token == "dG9r"
    assert encrypted.connections == 1


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that lacks nothing."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("options", "has_endpoint"),
    [
        ({"retries": {"mode": "standard"}}, True),
        ({"retries": {"mode": "adaptive"}}, False),
        ({"retries": {"mode": "standard"}, "signature_version": "v4-query"}, False),
        ({"retries": {"mode": "standard"}, "signature_version": UNSIGNED}, False),
    ],
    ids=["standard", "adaptive", "query string", "unsigned"],
)
def test_a_client_that_retries_or_signs_in_its_own_way_makes_the_calls(
    options: dict[str, Any], has_endpoint: bool
) -> None:
    client = get_session().create_client("lambda", region_name="eu-central-1", config=Config(**options))
    found = endpoint_of(client)
    assert (found is not None) is has_endpoint
    assert found is None or found.attempts == DEFAULT_MAX_ATTEMPTS, "as often as botocore's client would try"


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("AWS_PROFILE", "missing", "ProfileNotFound"),
        ("AWS_DEFAULT_REGION", "not a region", "InvalidRegionError"),
        ("AWS_MAX_ATTEMPTS", "0", "InvalidMaxRetryAttemptsError"),
    ],
)
def test_a_configuration_that_botocore_refuses_is_an_error_that_no_retry_fixes(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, code: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ServiceError, match=code) as raised:
        LambdaService().prepare()
    assert not raised.value.is_retriable


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "authorities.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with pytest.raises(ConfigurationError, match=r"cannot read the certificates in \S+authorities\.pem"):
        LambdaService().prepare()


@pytest.mark.parametrize(
    "error",
    [
        MetadataRetrievalError(error_msg="timed out"),
        CredentialRetrievalError(provider="custom-process", error_msg="exit 1"),
        EndpointConnectionError(endpoint_url="https://sts.amazonaws.com"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_answer_later_is_worth_a_retry(error: Exception) -> None:
    assert as_service_error(error).is_retriable
