"""An engine behind a real loopback socket, and an unmodified boto3 client for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config

from durable_execution.local import LocalEngine
from durable_execution.local.http import LocalServer

NO_RETRIES = Config(retries={"max_attempts": 1, "mode": "standard"}, read_timeout=30)


def boto3_client(url: str) -> Any:
    """boto3's own Lambda client, made as a user would make it."""
    return boto3.client(
        "lambda",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=NO_RETRIES,
    )


@contextmanager
def served(engine: LocalEngine, **options: Any) -> Iterator[tuple[str, Any]]:
    """The engine's URL, and a client for it."""
    with LocalServer(engine, port=0, **options) as server:
        client = boto3_client(server.url)
        try:
            yield server.url, client
        finally:
            client.close()
