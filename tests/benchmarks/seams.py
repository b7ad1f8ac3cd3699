"""The two seams over which AWS is measured: the surface of a boto3 client, and real HTTP to a server that checks signatures.

The third seam, in memory, is `service.OurClient`: it shows what the SDK itself costs, without what a call on Lambda adds.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from durable_execution.protocol import Wire
from tests.benchmarks.service import ARN
from tests.loopback_service import ENVIRONMENT

TOKEN = "dG9rZW4="  # not a password


@contextmanager
def http_service(latency_seconds: float = 0) -> Iterator[str]:
    """A service in a process of its own, with this process configured to call it. Yields its URL."""
    command = [sys.executable, "-m", "tests.loopback_service", str(latency_seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url = server.stdout.readline().strip()
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL_LAMBDA=url)
        try:
            yield url
        finally:
            server.stdin.close()


def updates(count: int) -> list[Wire]:
    """So many updates of steps: each step starts and succeeds."""
    return [
        {
            "Id": f"{number // 2:064x}",
            "Type": "STEP",
            "SubType": "Step",
            "Name": "work",
            **({"Action": "SUCCEED", "Payload": str(number)} if number % 2 else {"Action": "START"}),
        }
        for number in range(count)
    ]


__all__ = ["ARN", "TOKEN", "http_service", "updates"]
