"""AWS Signature Version 4 for the two durable calls.

botocore's signer takes any request of any service, and with that most of the processor time of a checkpoint call. These calls
always have the same few headers, and every part of them is encoded already. botocore still finds and refreshes the credentials.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from hmac import digest
from urllib.parse import quote

from durable_execution.runtime.endpoint import SIGNATURE, Endpoint

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
JSON = "application/json"


class Signer:
    """Signs requests to one endpoint. Threads may share it.

    Args:
        endpoint: The endpoint, with the source of the credentials.
        clock: Returns the time in seconds since 1970.
    """

    def __init__(self, endpoint: Endpoint, *, clock: Callable[[], float] = time.time) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._key = (("", ""), b"")  # of one secret and day; replaced whole, as threads share it

    def signed(self, method: str, target: str, body: bytes | None) -> dict[str, str]:
        """The headers of a request, with its signature.

        Args:
            method: HTTP method.
            target: Path and query, encoded, with the parameters in the order of their names.
            body: JSON; None for a request without a body.

        Raises:
            BotoCoreError: The credentials cannot be refreshed.
            RuntimeError: The refreshed credentials have expired too.
        """
        endpoint = self._endpoint
        service, region, host = endpoint.signing_name, endpoint.region, endpoint.host
        credentials = endpoint.signer.get_auth_instance(service, region, SIGNATURE).credentials
        token = credentials.token
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        headers, lines, names = {"Host": host, "X-Amz-Date": at}, f"host:{host}\nx-amz-date:{at}\n", "host;x-amz-date"
        if body is not None:
            headers["Content-Type"] = JSON
            lines, names = f"content-type:{JSON}\n{lines}", f"content-type;{names}"
        if token:
            headers["X-Amz-Security-Token"] = token
            lines, names = f"{lines}x-amz-security-token:{token.strip()}\n", f"{names};x-amz-security-token"
        path, _, query = target.partition("?")
        request = f"{method}\n{_encoded_again(path)}\n{query}\n{lines}\n{names}\n{sha256(body or b'').hexdigest()}"
        scope = f"{at[:8]}/{region}/{service}/{TERMINATOR}"
        text = f"{ALGORITHM}\n{at}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = digest(self._key_of(credentials.secret_key, at[:8]), text.encode(), "sha256").hex()
        headers["Authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def _key_of(self, secret: str, day: str) -> bytes:
        known, value = self._key
        if known != (secret, day):
            value = f"AWS4{secret}".encode()
            for part in (day, self._endpoint.region, self._endpoint.signing_name, TERMINATOR):
                value = digest(value, part.encode(), "sha256")
            self._key = ((secret, day), value)
        return value


@lru_cache(maxsize=64)
def _encoded_again(path: str) -> str:
    """A path as it is signed: without dot segments, and with its percent signs encoded."""
    from botocore.utils import normalize_url_path

    return quote(normalize_url_path(path), safe="/~")
