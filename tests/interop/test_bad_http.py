"""Bad requests: each gets the error AWS would give, and changes nothing."""

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.local import LocalEngine
from durable_execution.local.http import LocalServer, application
from durable_execution.protocol import Wire
from tests.unit.local.scripts import PENDING, Session, callback, register, step

pytestmark = pytest.mark.interop

MODEL: Wire = Loader().load_service_model("lambda", "service-2", "2015-03-31")
OPERATIONS = sorted(name for name in MODEL["operations"] if "Durable" in name)


class Target:
    """A served engine with an execution that waits for a callback."""

    def __init__(self) -> None:
        self.engine = LocalEngine(None, time="skip")
        self.tokens: list[str] = []

        def body(session: Session) -> Wire:
            self.tokens.append(session.token or "")
            session.send(step("a", "START"), callback("c"))
            self.tokens.append(session.token or "")
            return PENDING

        register(self.engine, body)
        self.arn = self.engine.start("flow", name="n")
        self.callback_id = self.engine.wait_for_callback_id(self.arn)
        self.server = LocalServer(self.engine, port=0, body_seconds=0.3, head_seconds=0.3)
        self.server.start()
        self.address = urlsplit(self.server.url).netloc

    def state(self) -> Any:
        """Everything there is to know of what is stored."""
        tables = ("executions", "operations", "events", "undelivered", "answers")
        store = self.engine._store
        with store.snapshot():
            return [store.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, Wire]:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            raw = response.read()
            return (
                response.status,
                json.loads(raw) if raw else None,
                {name.lower(): value for name, value in response.headers.items()},
            )
        finally:
            connection.close()

    def refuses(
        self, expected: tuple[int, str], method: str, path: str, body: bytes | None = None, **headers: str
    ) -> str:
        before = self.state()
        status, found, answered = self.request(method, path, body, **headers)
        assert (status, answered["x-amzn-errortype"]) == expected
        assert answered["x-amzn-requestid"]
        assert self.state() == before
        message: str = found.get("message") or found.get("Message")
        assert message
        assert "Traceback" not in message
        return message

    def close(self) -> None:
        self.server.close()
        self.engine.close()


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.close()


INVALID, UNKNOWN, MISSING, UNPARSABLE = (
    (400, "InvalidParameterValueException"),
    (403, "AccessDeniedException"),
    (404, "ResourceNotFoundException"),
    (400, "InvalidRequestContentException"),
)


def path_of(arn: str, verb: str = "") -> str:
    return f"/2025-12-01/durable-executions/{quote(arn, safe='')}" + (f"/{verb}" if verb else "")


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"\xff", b'{"a": NaN', b"[" * 100_000, b'"\xc3'], ids=range(6))
@pytest.mark.parametrize("verb", ["checkpoint", "pause", "resume", "stop"])
def test_malformed_json(target: Target, verb: str, body: bytes) -> None:
    target.refuses(UNPARSABLE, "POST", path_of(target.arn, verb), body)
    callback_path = f"/2025-12-01/durable-execution-callbacks/{quote(target.callback_id, safe='')}/fail"
    target.refuses(UNPARSABLE, "POST", callback_path, body)


@pytest.mark.parametrize("body", [[], "text", 7, True, [{"Updates": []}]])
def test_a_body_that_is_no_object(target: Target, body: Any) -> None:
    for verb in ("checkpoint", "pause", "resume", "stop"):
        target.refuses(INVALID, "POST", path_of(target.arn, verb), json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"CheckpointToken": ""},
        {"CheckpointToken": 7},
        {"CheckpointToken": None},
        {"CheckpointToken": "eA==", "Updates": []},
        {"CheckpointToken": "eA==", "ClientToken": "é"},
        {"CheckpointToken": ["eA=="]},
    ],
)
def test_a_checkpoint_without_a_good_token(target: Target, body: Wire) -> None:
    target.refuses(INVALID, "POST", path_of(target.arn, "checkpoint"), json.dumps(body).encode())


def test_stale_tokens(target: Target) -> None:
    for token in target.tokens:
        body = json.dumps({"CheckpointToken": token, "Updates": []}).encode()
        assert target.refuses(INVALID, "POST", path_of(target.arn, "checkpoint"), body) == "Invalid checkpoint token"
        query = f"state?CheckpointToken={quote(token, safe='')}"
        assert target.refuses(INVALID, "GET", path_of(target.arn, query)) == "Invalid checkpoint token"


@pytest.mark.parametrize(
    "query",
    [
        "history?MaxItems=x",
        "history?MaxItems=1e3",
        "history?MaxItems=1_0",
        "history?MaxItems=+5",
        "history?MaxItems=%2B5",
        "history?MaxItems=-1",
        "history?MaxItems=1001",
        "history?MaxItems=" + "9" * 5000,
        "history?MaxItems=%EF%BC%97",
        "history?Marker=nonsense",
        "history?ReverseOrder=perhaps",
        "history?IncludeExecutionData=1",
        "history?Marker=%FF",
        "?IncludeExecutionData=yes",
        "state",
        "state?CheckpointToken=",
    ],
)
def test_queries_that_make_no_sense(target: Target, query: str) -> None:
    path = path_of(target.arn) + query if query.startswith("?") else path_of(target.arn, query)
    target.refuses(INVALID, "GET", path)


@pytest.mark.parametrize(
    "query", ["Statuses=ASLEEP", "StartedAfter=yesterday", "StartedAfter=1e400", "StartedBefore=nan", "Qualifier=%00"]
)
def test_lists_that_make_no_sense(target: Target, query: str) -> None:
    target.refuses(INVALID, "GET", f"/2025-12-01/functions/flow/durable-executions?{query}")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", UNKNOWN),
        ("/2025-12-01/", UNKNOWN),
        ("/2025-12-01/durable-executions", UNKNOWN),
        ("/2025-12-01/durable-executions/a/b/c/history", UNKNOWN),  # an ARN that was not encoded
        ("/2025-12-01/durable-executions/%2e%2e/history", MISSING),
        ("/2025-12-01/durable-executions/..%2f..%2fetc/history", MISSING),
        ("/2025-12-01/durable-executions/%/history", INVALID),
        ("/2025-12-01/durable-executions/%zz/history", INVALID),
        ("/2025-12-01/durable-executions/%ff/history", INVALID),
        ("/2025-12-01/durable-executions/%00/history", MISSING),
        ("/2025-12-01/durable-executions/%252F/history", MISSING),
        ("/2025-12-01/durable-executions/" + "a" * 1025 + "/history", INVALID),
        ("/2025-12-01//durable-executions/a/history", UNKNOWN),
        ("/2015-03-31/functions/flow/invocations", UNKNOWN),
        ("/2015-03-31/layers", UNKNOWN),
    ],
)
def test_paths_that_lead_nowhere(target: Target, path: str, expected: tuple[int, str]) -> None:
    target.refuses(expected, "GET", path)


def test_a_doubly_encoded_arn_is_another_arn(target: Target) -> None:
    once = quote(target.arn, safe="")
    status, found, _ = target.request("GET", f"/2025-12-01/durable-executions/{once}")
    assert (status, found["DurableExecutionArn"]) == (200, target.arn)
    status, found, _ = target.request("GET", f"/2025-12-01/durable-executions/{once.lower()}")
    assert status == 404  # the escapes may be lower-case, the ARN itself not
    target.refuses(MISSING, "GET", f"/2025-12-01/durable-executions/{quote(once, safe='')}")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "DELETE"])
def test_methods_the_api_does_not_have(target: Target, method: str) -> None:
    target.refuses(UNKNOWN, method, path_of(target.arn, "history"))


def test_oversized_requests(target: Target) -> None:
    large = b'"' + b"x" * (17 * 1024 * 1024) + b'"'
    before = target.state()
    host, port = target.address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST {path_of(target.arn, 'stop')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(large)}\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.recv(4096)
    assert b" 413 " in answer.splitlines()[0]
    assert target.state() == before
    target.refuses(
        (413, "RequestTooLargeException"),
        "POST",
        "/2015-03-31/functions/flow:1/invocations",
        b'"' + b"x" * 6_291_455 + b'"',
    )
    path = f"/2025-12-01/durable-execution-callbacks/{quote(target.callback_id, safe='')}/succeed"
    target.refuses(INVALID, "POST", path, b"x" * 1_048_577)
    target.refuses(INVALID, "POST", path_of(target.arn, "stop"), json.dumps({"ErrorData": "x" * 1_048_577}).encode())


def test_a_slow_client_is_told_so_and_holds_up_nobody(target: Target) -> None:
    before = target.state()
    host, port = target.address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        head = f"POST {path_of(target.arn, 'stop')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{"
        slow.sendall(head.encode())
        assert target.request("GET", path_of(target.arn))[0] == 200
        answer = slow.recv(4096)
    assert b" 408 " in answer.splitlines()[0]
    assert b"RequestTimeoutException" in answer
    assert target.state() == before


def test_a_client_that_hangs_up_changes_nothing(target: Target) -> None:
    before = target.state()
    host, port = target.address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as rude:
        head = f"POST {path_of(target.arn, 'stop')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{"
        rude.sendall(head.encode())
    assert target.request("GET", path_of(target.arn))[0] == 200
    assert target.state() == before


def test_many_clients_at_once_are_all_answered(target: Target) -> None:
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(target.request("GET", path_of(target.arn))[0])

    asking = [threading.Thread(target=ask, daemon=True) for _ in range(200)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(30)
    assert statuses == [200] * 200


def test_invocations_that_are_waited_for_do_not_hold_up_those_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "WAITING_THREADS", 1)
    path = "/2015-03-31/functions/flow:$LATEST/invocations"
    target = Target()
    try:
        waiting = threading.Thread(target=target.request, args=("POST", path, b"{}"), daemon=True)
        waiting.start()
        pause = threading.Event()
        while target.server._api._waiting == 0:
            pause.wait(0.005)
        status, found, headers = target.request("POST", path, b"{}")
        assert (status, headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")
        assert "InvocationType=Event" in found["message"]
        assert target.request("POST", path, b"{}", X_Amz_Invocation_Type="Event")[0] == 202
        assert target.request("POST", path, b"{}", X_Amz_Invocation_Type="DryRun")[0] == 204
        for execution in target.engine.executions()["DurableExecutions"]:
            target.engine.client.stop_durable_execution(DurableExecutionArn=execution["DurableExecutionArn"])
        waiting.join(30)
        assert target.server._api._waiting == 0
    finally:
        target.close()


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:9014", "localhost.attacker.example", "10.0.0.1", "", "[", "a b"]
)
def test_requests_for_other_hosts_are_refused(target: Target, host: str) -> None:
    """A name of the attacker's that resolves to this computer would make its pages the same origin."""
    target.refuses((403, "AccessDeniedException"), "POST", path_of(target.arn, "stop"), b"", Host=host)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9014", "[::1]:9014", "durable.localhost"])
def test_names_of_this_computer_are_answered(target: Target, host: str) -> None:
    assert target.request("GET", path_of(target.arn), Host=host)[0] == 200


def test_a_host_can_be_allowed() -> None:
    with LocalEngine(None, time="skip") as engine, LocalServer(engine, port=0, allowed_hosts=["engine.test"]) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
        connection.request("GET", path_of("x"), headers={"Host": "engine.test"})
        assert connection.getresponse().status == 404
        connection.close()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "unknown"])
def test_what_a_browser_says_is_cross_site_is_refused(target: Target, site: str) -> None:
    target.refuses((403, "AccessDeniedException"), "POST", path_of(target.arn, "stop"), b"", Sec_Fetch_Site=site)
    for harmless in ("none", "same-origin"):
        assert target.request("GET", path_of(target.arn), Sec_Fetch_Site=harmless)[0] == 200


@pytest.mark.parametrize("beginning", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
@pytest.mark.real_time
def test_a_request_that_does_not_come_to_its_end_is_given_up(target: Target, beginning: bytes) -> None:
    host, _, port = target.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        slow.sendall(beginning)
        assert slow.recv(4096) == b""


@pytest.mark.real_time
def test_a_request_with_two_lengths_is_refused_and_what_follows_is_not_read(target: Target) -> None:
    """A proxy in front of the server might take the second request for the body of the first."""
    host, port = target.address.split(":")
    name = target.arn.split(":function:")[1].split("/")[0]
    lines = (f"POST /2015-03-31/functions/{quote(name)}/invocations HTTP/1.1", f"Host: {target.address}")
    smuggled = f"GET /2015-03-31/functions HTTP/1.1\r\nHost: {target.address}\r\n\r\n"
    head = "\r\n".join((*lines, "Content-Length: 5", "Transfer-Encoding: chunked", "", "0", "", ""))
    before = target.state()
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall((head + smuggled).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"either Content-Length or Transfer-Encoding" in answer
    assert target.state() == before


def test_a_second_request_on_a_connection_has_a_time_limit_too(target: Target) -> None:
    host, _, port = target.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        slow.sendall(f"GET {path_of(target.arn)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
        slow.sendall(b"GET /")
        while slow.recv(65536):
            pass


def test_connections_are_bounded() -> None:
    """Above the limit, requests get a status that clients retry; above twice the limit, connections are closed."""
    with (
        LocalEngine(None, time="skip") as engine,
        LocalServer(engine, port=0, max_connections=3, head_seconds=600) as server,
        ExitStack() as stack,
    ):
        host, _, port = server.url.removeprefix("http://").partition(":")

        def opened() -> socket.socket:
            return stack.enter_context(socket.create_connection((host, int(port)), timeout=20))

        def status(connection: socket.socket) -> bytes:
            connection.sendall(f"GET {path_of('x')} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            return connection.recv(12)

        assert status(opened()) == b"HTTP/1.1 404"
        idle = [opened() for _ in range(5)]
        assert status(idle[-1]) == b"HTTP/1.1 503"
        while idle[-1].recv(4096):  # a refused connection is closed, and counts no more
            pass
        idle.append(opened())
        refused = opened()
        with suppress(ConnectionResetError):
            assert refused.recv(1) == b""
        for connection in idle:
            connection.close()
        while status(last := opened()) != b"HTTP/1.1 404":  # the server notices the closed connections one by one
            last.close()


def test_an_answer_is_sent_at_once(target: Target) -> None:
    """Headers and body are sent one after the other: without the option, the body waits 40 ms for the client's acknowledgement."""
    connection = http.client.HTTPConnection(target.address, timeout=20)
    try:
        connection.request("GET", path_of(target.arn))
        assert connection.getresponse().status == 200
        (accepted,) = target.server._server.server_state.connections
        socket_of_it = accepted.transport.get_extra_info("socket")
        assert socket_of_it.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        connection.close()


@pytest.mark.parametrize("how", [socket.SHUT_WR, socket.SHUT_RDWR])
def test_clients_that_close_their_side_leave_no_tracebacks(
    target: Target, how: int, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = target.address.partition(":")
    for length in (0, 100):
        with socket.create_connection((host, int(port)), timeout=20) as half:
            head = (
                f"POST {path_of(target.arn, 'stop')}x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
            )
            half.sendall(head.encode())
            half.shutdown(how)
            if how == socket.SHUT_WR:
                half.recv(4096)
    assert target.request("GET", path_of(target.arn))[0] == 200
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        ("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n", [200]),
        ("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n", [200]),
        ("POST {path}/stopx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}", [403]),
        ("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", [200, 403]),
        ("POST {path}/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{{}}", [400]),
        ("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /noth", [200, 400]),
        ("GET {path} HTTP/1.1\r\nHost: localhost", [400]),
        ("", []),
    ],
)
def test_a_client_that_closes_its_side_gets_its_answers(
    target: Target, sent: str, statuses: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = target.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as half:
        half.sendall(sent.format(path=path_of(target.arn)).encode())
        half.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: half.recv(65_536), b""))
    assert [int(one) for one in re.findall(rb"HTTP/1.1 (\d{3}) ", answer)] == statuses
    assert [record for record in caplog.records if record.exc_info] == []


def test_requests_from_web_pages_elsewhere_are_refused(target: Target) -> None:
    path = path_of(target.arn, "stop")
    target.refuses((403, "AccessDeniedException"), "POST", path, b"", Origin="https://example.com")
    target.refuses((403, "AccessDeniedException"), "POST", path, b"", Origin="null")
    assert target.request("GET", path_of(target.arn), Origin="http://localhost:3000")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Amz_Invocation_Type": "Later"},
        {"X_Amz_Durable_Execution_Name": "a b"},
        {"X_Amz_Durable_Execution_Name": "x" * 65},
        {"X_Amz_Tenant_Id": "a!b"},
        {"X_Amz_Tenant_Id": "x" * 257},
    ],
)
def test_invoke_headers_that_make_no_sense(target: Target, headers: dict[str, str]) -> None:
    target.refuses(INVALID, "POST", "/2015-03-31/functions/flow/invocations?Qualifier=1", b"{}", **headers)


TEXTS = st.text(max_size=40) | st.from_regex(r"[A-Za-z0-9+/]{1,40}={0,2}", fullmatch=True)
JUNK: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def shaped(name: str, depth: int = 0) -> Any:
    """Values for a shape of the service model: mostly right, sometimes of another type or out of range."""
    shape = MODEL["shapes"][name]
    kind = shape["type"]
    if kind == "structure" and depth < 4:
        members = {
            member: shaped(found["shape"], depth + 1)
            for member, found in shape["members"].items()
            if "location" not in found
        }
        required = {member: members[member] for member in shape.get("required", ()) if member in members}
        rest = {member: found for member, found in members.items() if member not in required}
        right: Any = st.fixed_dictionaries(required, optional=rest) | st.fixed_dictionaries({}, optional=members)
    elif kind == "list" and depth < 4:
        right = st.lists(shaped(shape["member"]["shape"], depth + 1), max_size=4)
    elif "enum" in shape:
        right = st.sampled_from(shape["enum"])
    elif kind == "string":
        right = TEXTS | st.sampled_from(["a", "c", "n", "ctx", "1"])
    elif kind in ("integer", "long"):
        right = st.integers(min_value=shape.get("min", -5) - 1, max_value=min(shape.get("max", 100), 100) + 1)
    elif kind == "boolean":
        right = st.booleans()
    else:
        right = TEXTS
    return right | JUNK


def requests() -> Any:
    """Requests for every operation of the model."""

    def make(operation: str) -> Any:
        model = MODEL["operations"][operation]
        shape = MODEL["shapes"][model["input"]["shape"]]
        query = {
            found["locationName"]: (shaped(found["shape"]) | TEXTS)
            for found in shape["members"].values()
            if found.get("location") == "querystring"
        }
        payload = shape.get("payload")
        body = shaped(shape["members"][payload]["shape"] if payload else model["input"]["shape"])
        return st.tuples(
            st.just(operation),
            st.sampled_from(["good", "other"]) | TEXTS,
            st.fixed_dictionaries({}, optional=query),
            body | st.binary(max_size=60),
        )

    return st.sampled_from(OPERATIONS).flatmap(make)


SAFE_ANSWERS = {200, 202, 400, 403, 404, 409}


@given(request=requests())
def test_no_request_breaks_the_server_or_the_store(target: Target, request: tuple[str, str, Wire, Any]) -> None:
    operation, parameter, query, body = request
    http_model = MODEL["operations"][operation]["http"]
    method, uri = http_model["method"], http_model["requestUri"]
    name = uri[uri.index("{") : uri.index("}") + 1]
    # What would rightly end the execution or its callback is aimed at something that does not exist.
    is_harmless = operation.startswith(("Get", "List", "Checkpoint", "Resume", "Delete"))
    known = {"{DurableExecutionArn}": target.arn, "{CallbackId}": target.callback_id, "{FunctionName}": "flow"}[name]
    chosen = known if parameter == "good" and is_harmless else parameter
    pairs = [f"{quote(str(key))}={quote(str(value), safe='', errors='replace')}" for key, value in query.items()]
    path = uri.replace(name, quote(chosen, safe="", errors="replace") or "x") + ("?" + "&".join(pairs) if pairs else "")
    sent = body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
    before = target.state()
    status, found, headers = target.request(method, path, sent if method == "POST" else None)
    assert status in SAFE_ANSWERS, (path, sent, found)
    assert target.state() == before
    if status >= 400:
        assert headers["x-amzn-errortype"] in {error["shape"] for error in MODEL["operations"][operation]["errors"]} | {
            "InvalidRequestContentException",
            "AccessDeniedException",
            "ResourceNotFoundException",
        }


@given(updates=shaped("OperationUpdates"))
def test_no_batch_of_updates_breaks_an_invocation(updates: Any) -> None:
    """Whatever a handler sends: it is applied as a whole or refused as a whole, and the handler can go on."""
    with LocalEngine(None, time="skip") as engine:
        events: list[int] = []

        def count(session: Session) -> int:
            found = session.client.get_durable_execution_history(DurableExecutionArn=session.arn, MaxItems=1000)[
                "Events"
            ]
            assert [event["EventId"] for event in found] == list(range(1, len(found) + 1))
            return len(found)

        def body(session: Session) -> Wire:
            session.send(step("a", "START"), {"Id": "ctx", "Type": "CONTEXT", "Action": "START"}, callback("c"))
            before = count(session)
            try:
                session.client.checkpoint_durable_execution(
                    DurableExecutionArn=session.arn, CheckpointToken=session.token, Updates=updates
                )
            except session.client.exceptions.InvalidParameterValueException:
                assert count(session) == before
                session.send(step("z", "START"))
            else:
                sent = [one for one in updates or [] if one["Type"] != "EXECUTION"]
                failed = sum(1 for one in sent if one["Type"] == "CHAINED_INVOKE")  # no such function: two events
                assert count(session) == before + len(sent) + failed
            events.append(count(session))
            return {"Status": "SUCCEEDED"}

        register(engine, body)
        result = engine.run("flow")
        assert events, result.error
