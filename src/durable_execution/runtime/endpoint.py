"""Where and how the service is called: the configuration that botocore resolves, without botocore's request path.

botocore finds the credentials, the region, the endpoint (custom, FIPS, dual stack), the proxies, the CA bundle, the client
certificate, the retries and the time-outs. `resolve` creates a Lambda client for that, and takes from it what
`runtime/transport.py` needs. The client itself makes no call.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from durable_execution.errors import ConfigurationError, ServiceError
from durable_execution.paging import MALFORMED
from durable_execution.protocol import Wire

T = TypeVar("T")
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 50
DEFAULT_ATTEMPTS = 3
"""Attempts of a call in botocore's `standard` mode, where no other number is configured."""

SERVICE = "lambda"
SIGNATURE = "v4"
API_VERSION = "2015-03-31"
RESOLVED_OPERATION = "GetAccountSettings"
"""An operation without parameters: what botocore resolves for it holds for the durable operations too."""

AMAZONS_DOMAINS = (".amazonaws.com", ".api.aws")
AMAZONS_ROOTS = ("O=Amazon", "CN=Starfield Services Root Certificate Authority")
"""Names, in certificate bundles, of the authorities that issue the certificates of AWS's endpoints."""


class Endpoint(NamedTuple):
    """How to reach the Lambda API.

    Attributes:
        url: Base URL, without a slash at the end.
        host: Its host, and its port unless that is the default: the `Host` header.
        path: Its path; empty for AWS's own endpoints.
        is_forwarded: Whether requests name the whole URL, because an HTTP proxy forwards them.
        pool: urllib3's connection pool for the host.
        trust_more: Makes `pool` trust every configured authority, and returns whether it trusted fewer at first.
        signer: botocore's request signer, with credentials that it refreshes.
        signing_name: Service name in the signature.
        region: Region in the signature.
        user_agent: botocore's `User-Agent`, with this SDK added.
        attempts: How often a call is tried.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds to wait for an answer.
    """

    url: str
    host: str
    path: str
    is_forwarded: bool
    pool: Any
    trust_more: Callable[[], bool]
    signer: Any
    signing_name: str
    region: str
    user_agent: str
    attempts: int
    connect_timeout: float
    read_timeout: float


def make_client(*, has_operations: bool = True) -> Any:
    """Create a Lambda client from the environment, as boto3 does, with the time-outs and retries of this SDK.

    boto3 is imported only if the program has already imported it: its default session may carry a profile.

    Args:
        has_operations: Whether calls are made through the client. Its configuration alone takes less time.

    Raises:
        ConfigurationError: botocore is missing.
        BotoCoreError: The configuration is incomplete, for example without a region or credentials.
    """
    try:
        from botocore.config import Config
        from botocore.exceptions import NoCredentialsError
    except ImportError as error:
        raise missing_boto3(error) from error
    session = _session(has_operations=has_operations)
    if session.get_credentials() is None:
        raise NoCredentialsError
    mode = session.get_config_variable("retry_mode")
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"mode": "standard" if mode == "legacy" else mode},
        user_agent_extra="durable-execution-sdk",
    )
    client = session.create_client(SERVICE, config=config)
    _load_everything(session, has_handlers=has_operations)
    return client


def missing_boto3(error: ImportError) -> ConfigurationError:
    """The error for an environment without boto3."""
    return ConfigurationError(
        f"boto3 cannot be imported: {error}. The SDK needs botocore to find credentials and to sign its calls. Add boto3 to "
        "the deployment package, or remove the copy that shadows it"
    )


def made(call: Callable[[], T]) -> T:
    """The result of a call; errors of botocore become `ServiceError`."""
    try:
        return call()
    except ImportError:
        raise
    except Exception as error:
        found = _service_error_for(error)
        if found is None:
            raise
        raise found from error


def _service_error_for(error: Exception) -> ServiceError | None:
    """What an error of botocore means, of a call or of the search for credentials; None if it is an error of other code."""
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        return _refused(error)
    if isinstance(error, BotoCoreError):
        return as_service_error(error)
    if is_unreadable_answer(error):
        return unreadable_answer(error)
    return expired(error) if is_expired(error) else None


def _refused(error: Any) -> ServiceError:
    details = error.response.get("Error") or {}
    metadata = error.response.get("ResponseMetadata") or {}
    code = details.get("Code") or type(error).__name__
    message = details.get("Message") or str(error)
    return ServiceError(code, message, status=metadata.get("HTTPStatusCode"))


def as_service_error(error: Exception) -> ServiceError:
    """An error of botocore that is not an answer of the service.

    Its status is None if the network, or a source of credentials, did not answer, and 400 for all others: a retry fixes neither
    parameters nor the configuration.
    """
    from botocore import exceptions

    transient = (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.IncompleteReadError,
        exceptions.ChecksumError,
        exceptions.CapacityNotAvailableError,
        exceptions.CredentialRetrievalError,
        exceptions.MetadataRetrievalError,
        exceptions.TokenRetrievalError,
    )
    return ServiceError(type(error).__name__, str(error), status=None if isinstance(error, transient) else 400)


def is_unreadable_answer(error: BaseException) -> bool:
    """Whether an error was raised while botocore read an answer: it is not what the API promises.

    botocore raises various types here, for example a RuntimeError for a timestamp that is out of range.
    """
    return _passed_through(error, "botocore.parsers")


def is_expired(error: BaseException) -> bool:
    """Whether botocore found that refreshed credentials are still expired, which it reports as a RuntimeError."""
    return isinstance(error, RuntimeError) and _passed_through(error, "botocore.credentials")


def expired(error: BaseException) -> ServiceError:
    """The error for credentials that are expired even after they were refreshed. A later invocation may find new ones."""
    return ServiceError(
        "ExpiredTokenException",
        f"{error} Check this computer's clock, and where its credentials come from",
        status=None,
    )


def _passed_through(error: BaseException, module: str) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == module:
            return True
        trace = trace.tb_next
    return False


def unreadable_answer(error: BaseException) -> ServiceError:
    """The error for an answer that botocore cannot read."""
    return ServiceError(
        MALFORMED, f"the answer is not one of the Lambda API: {error!s:.200}. Check the endpoint and the proxy"
    )


def _session(*, has_operations: bool) -> Any:
    default = getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)
    if default is not None:
        return default._session  # noqa: SLF001  # a profile that the program chose with boto3.setup_default_session
    from botocore.loaders import create_loader
    from botocore.session import Session

    session: Any = Session(include_builtin_handlers=has_operations)
    loader: Any = create_loader(session.get_config_variable("data_path"))
    loader.list_available_services = lambda _type: [SERVICE]  # listing the folders of all services takes 20 ms
    loader.load_data_with_path = _without_large_files(
        loader, session.get_config_variable("region"), has_operations=has_operations
    )
    session.register_component("data_loader", loader)
    return session


def _load_everything(session: Any, *, has_handlers: bool) -> None:
    """Let the session create further clients: those of AWS STS and of IAM Identity Center, for credentials.

    They read botocore's files and need its handlers. botocore inspects the signature of every handler it registers, which
    takes 6 ms, and few environments have credentials that need a further client: the first one registers the handlers.
    """
    if "load_data_with_path" not in vars(session.get_component("data_loader")):  # not made by `_session`
        return
    from botocore.loaders import create_loader

    session.register_component("data_loader", create_loader(session.get_config_variable("data_path")))
    session._register_endpoint_resolver()  # noqa: SLF001
    if has_handlers:
        return

    lock = threading.Lock()

    def create_client(*arguments: Any, **options: Any) -> Any:
        with lock:
            if "create_client" in vars(session):
                session._register_builtin_handlers(session.get_component("event_emitter"))  # noqa: SLF001
                del session.create_client  # from here on, the method of botocore
        return session.create_client(*arguments, **options)

    session.create_client = create_client


def _without_large_files(loader: Any, region: str | None, *, has_operations: bool) -> Callable[[str], Any]:
    """The loader's method, which derives `endpoints` from `partitions`, and knows the model of Lambda without its operations.

    botocore's `endpoints.json` describes every endpoint of every service, and takes 20 ms to read. botocore finds the address of
    Lambda by a set of rules and by the partitions, and needs from this file only the pattern that all its endpoints follow. The
    file is read for a region that the partitions do not name, such as `fips-us-east-1`.

    The model describes every operation of Lambda and its shapes. It takes 10 ms to read and to turn into a client's methods, and
    is needed only for a client that makes the calls.

    A file is also read if it is the user's own, from AWS_DATA_PATH or ~/.aws/models.
    """
    read: Callable[[str], Any] = loader.load_data_with_path
    model_name = str(Path(SERVICE, API_VERSION, "service-2"))

    def load(name: str) -> Any:
        if name == "endpoints" and not _is_the_users(loader, "endpoints.json"):
            partitions, path = read("partitions")
            try:
                if any(region in each["regions"] for each in partitions["partitions"]):
                    return {
                        "version": 3,
                        "partitions": [_endpoints_in(each) for each in partitions["partitions"]],
                    }, path
            except (KeyError, TypeError):  # a different version of botocore describes partitions in a different way
                pass
        if name == model_name and not has_operations and not _is_the_users(loader, SERVICE):
            return _model_without_operations(), loader.BUILTIN_DATA_PATH
        return read(name)

    return load


def _is_the_users(loader: Any, name: str) -> bool:
    """Whether a file or folder of botocore's data is in a folder of the user."""
    folders = (folder for folder in loader.search_paths if folder != loader.BUILTIN_DATA_PATH)
    return any(Path(folder, name).exists() for folder in folders)


def _model_without_operations() -> Wire:
    """What botocore's model of Lambda says of the service, with the one operation that `endpoint_of` asks about."""
    return {
        "version": "2.0",
        "metadata": {
            "apiVersion": API_VERSION,
            "auth": ["aws.auth#sigv4"],
            "endpointPrefix": "lambda",
            "protocol": "rest-json",
            "protocols": ["rest-json"],
            "serviceFullName": "AWS Lambda",
            "serviceId": "Lambda",
            "signatureVersion": "v4",
            "signingName": "lambda",
            "uid": "lambda-2015-03-31",
        },
        "operations": {
            RESOLVED_OPERATION: {
                "name": RESOLVED_OPERATION,
                "http": {"method": "GET", "requestUri": "/2016-08-19/account-settings", "responseCode": 200},
            }
        },
        "shapes": {},
    }


def _endpoints_in(partition: Wire) -> Wire:
    """What `endpoints.json` says of a partition, without the exceptions of single services."""
    outputs = partition["outputs"]
    plain, dual = outputs["dnsSuffix"], outputs["dualStackDnsSuffix"]
    name, fips = "{service}.{region}.{dnsSuffix}", "{service}-fips.{region}.{dnsSuffix}"
    variants = [
        {"hostname": fips, "dnsSuffix": plain, "tags": ["fips"]},
        {"hostname": fips, "dnsSuffix": dual, "tags": ["dualstack", "fips"]},
        {"hostname": name, "dnsSuffix": dual, "tags": ["dualstack"]},
    ]
    return {
        "partition": partition["id"],
        "dnsSuffix": plain,
        "regionRegex": partition["regionRegex"],
        "regions": partition["regions"],
        "defaults": {"hostname": name, "protocols": ["https"], "signatureVersions": ["v4"], "variants": variants},
        "services": {},
    }


def endpoint_of(client: Any) -> Endpoint | None:
    """Take the resolved configuration from a client.

    Returns:
        None if the calls must go through the client: adaptive retries, an unusual signature, a URL with a query, or an unknown
            version of botocore.

    Raises:
        ConfigurationError: The configured certificates cannot be read.
    """
    try:
        return _endpoint_of(client)
    except ConfigurationError:
        raise
    except (AttributeError, TypeError, KeyError, ValueError):
        return None


def _endpoint_of(client: Any) -> Endpoint | None:
    config = client.meta.config
    retries = config.retries or {}
    if retries.get("mode") != "standard":
        return None
    context: dict[str, Any] = {"client_region": client.meta.region_name, "client_config": config}
    operation = client.meta.service_model.operation_model(RESOLVED_OPERATION)
    url, headers, _ = client._resolve_endpoint_ruleset(operation, {}, context)  # noqa: SLF001
    signer = client._request_signer  # noqa: SLF001
    signing = context.get("signing") or {}
    version = context.get("auth_type") or signer.signature_version
    if headers or version != SIGNATURE or urlsplit(url).query:
        return None
    url = url.rstrip("/")
    pool, is_forwarded, trust_more = _pool(client._endpoint.http_session, url)  # noqa: SLF001
    return Endpoint(
        url=url,
        host=_host_of(url),
        path=urlsplit(url).path,
        is_forwarded=is_forwarded,
        pool=pool,
        trust_more=trust_more,
        signer=signer,
        signing_name=signing.get("signing_name") or signer.signing_name,
        region=signing.get("region") or signer.region_name,
        user_agent=client._user_agent_creator.to_string(),  # noqa: SLF001
        attempts=retries.get("total_max_attempts") or DEFAULT_ATTEMPTS,
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
    )


def _host_of(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else str(parts.hostname)
    is_default = parts.port in (None, 443 if parts.scheme == "https" else 80)
    return host if is_default else f"{host}:{parts.port}"


def _pool(session: Any, url: str) -> tuple[Any, bool, Callable[[], bool]]:
    """urllib3's pool for a URL, as botocore's HTTP session configures it, whether requests name the whole URL, and `trust_more`.

    botocore's own pool classes add support for `Expect: 100-continue`, which this API does not use. urllib3's are faster.
    The certificates are loaded here, and not with each new connection.
    """
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    proxy_url = session._proxy_config.proxy_url_for(url)  # noqa: SLF001
    manager = session._get_connection_manager(url, proxy_url)  # noqa: SLF001
    manager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
    pool = manager.connection_from_url(url)
    session._setup_ssl_cert(pool, url, session._verify)  # noqa: SLF001
    context, bundle = pool.conn_kw.get("ssl_context"), getattr(pool, "ca_certs", None)
    trust_more = _nothing_more
    if context is not None and bundle is not None:
        is_amazons = session._verify is True and proxy_url is None and is_of_amazon(url)  # noqa: SLF001
        trust_more = _trust(context, bundle, is_amazons=is_amazons)
        pool.ca_certs = None
    return pool, session._get_request_target(f"{url}/", proxy_url).startswith("http"), trust_more  # noqa: SLF001


def is_of_amazon(url: str) -> bool:
    """Whether a URL is of a domain whose certificates Amazon issues."""
    return (urlsplit(url).hostname or "").endswith(AMAZONS_DOMAINS)


def _nothing_more() -> bool:
    return False


def _trust(context: Any, bundle: str, *, is_amazons: bool) -> Callable[[], bool]:
    """Trust the authorities of a bundle: at first only Amazon's own, for an endpoint of AWS.

    OpenSSL takes 25 ms for the 130 authorities of a bundle, and AWS's certificates are issued by five of them. The others are
    loaded when a certificate cannot be verified, for example because a network's own proxy answers.

    Returns:
        Loads the others. Threads may call it at the same time.
    """
    roots = _roots_of_amazon(bundle) if is_amazons else ""
    if not roots:
        try:
            context.load_verify_locations(bundle)
        except OSError as error:  # also ssl.SSLError, for a file that holds no certificate
            raise ConfigurationError(
                f"cannot read the certificates in {bundle}: {error}. Correct AWS_CA_BUNDLE, or `ca_bundle` of the profile"
            ) from error
        return _nothing_more
    context.load_verify_locations(cadata=roots)

    @cache
    def trust_more() -> bool:
        context.load_verify_locations(bundle)
        return True

    return trust_more


def _roots_of_amazon(bundle: str) -> str:
    """The certificates of a bundle whose comments name Amazon's authorities; empty for a bundle without comments, or a folder."""
    try:
        entries = Path(bundle).read_text(encoding="utf-8", errors="replace").split("# Issuer: ")[1:]
    except OSError:
        return ""
    named = (entry.partition("-----BEGIN CERTIFICATE-----") for entry in entries)
    return "".join(begin + text for names, begin, text in named if any(root in names for root in AMAZONS_ROOTS))
