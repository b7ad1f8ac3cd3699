"""A bucket behind a loopback socket: puts, gets and lists objects, as far as boto3 needs it for replay traces."""

import http.server
import threading
from datetime import UTC, datetime
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 3
"""Keys on a page of a list, so that every test reads several."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bucket: "Bucket"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("x-amz-decoded-content-length"):  # aws-chunked
            body = _unchunked(body)
        if not self._is_refused("PUT"):
            self.bucket.objects[unquote(urlsplit(self.path).path).lstrip("/")] = body
            self._answer(200, b"")

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = unquote(parts.path).strip("/")
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if self._is_refused("LIST" if "list-type" in query else "GET"):
            return
        if "list-type" in query:
            self._answer(200, self.bucket.listing(name, query))
        else:
            found = self.bucket.objects.get(name)
            self._answer(200 if found is not None else 404, found or _error("NoSuchKey"))

    def _is_refused(self, operation: str) -> bool:
        code = self.bucket.refused.get(operation)
        if code is not None:
            self._answer(404 if code == "NoSuchBucket" else 403, _error(code))
        return code is not None

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it is called with
        pass


class Bucket:
    """The server.

    Attributes:
        url: Its address.
        objects: What is stored, by `bucket/key`.
        refused: Error codes by operation (`GET`, `PUT`, `LIST`) that are answered instead.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refused: dict[str, str] = {}
        handler = type("BoundHandler", (Handler,), {"bucket": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def listing(self, bucket: str, query: dict[str, str]) -> bytes:
        """A page of ListObjectsV2."""
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        keys = sorted(name.removeprefix(f"{bucket}/") for name in self.objects if name.startswith(f"{bucket}/{prefix}"))
        keys = [key for key in keys if key > after]
        at = datetime(2026, 11, 28, 12, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{at}</LastModified><Size>{len(self.objects[f'{bucket}/{key}'])}"
            "</Size></Contents>"
            for key in keys[:PAGE]
        )
        more = f"<NextContinuationToken>{escape(keys[PAGE - 1])}</NextContinuationToken>" if len(keys) > PAGE else ""
        is_cut = str(len(keys) > PAGE).lower()
        return f"<ListBucketResult><IsTruncated>{is_cut}</IsTruncated>{contents}{more}</ListBucketResult>".encode()


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>said by the stub</Message></Error>".encode()


def _unchunked(body: bytes) -> bytes:
    found = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if not length:
            break
        found, body = found + rest[:length], rest[length + 2 :]
    return found
