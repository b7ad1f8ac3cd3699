"""An engine behind a real loopback socket, and an unmodified boto3 client for it."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

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


class Serving:
    """`durable-debug serve` on a store in a directory, killed at the end."""

    def __init__(self, directory: Path, *words: str) -> None:
        self.directory, self.words = directory, words

    def __enter__(self) -> Self:
        words = ["serve", "--store", str(self.directory / "store.db"), "--port", "0", *self.words]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "durable_debugger", *words],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stderr
        line = ""
        while "http://" not in line:
            line = self.process.stderr.readline()
            assert line
        self.url = re.findall(r"http://[\w.:]+", line)[0]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def client(self) -> Any:
        return boto3_client(self.url)

    def count(self, status: str, function: str = "flow") -> int:
        client = self.client()
        found = client.list_durable_executions_by_function(FunctionName=function, Statuses=[status])
        client.close()
        return len(found["DurableExecutions"])

    def wait_for_callbacks(self, wanted: int, function: str = "flow") -> list[str]:
        """Wait until so many executions wait for a callback; returns the callbacks' IDs."""
        client = self.client()
        while True:
            listed = client.list_durable_executions_by_function(FunctionName=function)["DurableExecutions"]
            found = [
                event["CallbackStartedDetails"]["CallbackId"]
                for one in listed
                for event in client.get_durable_execution_history(DurableExecutionArn=one["DurableExecutionArn"])[
                    "Events"
                ]
                if event["EventType"] == "CallbackStarted"
            ]
            if len(found) >= wanted:
                client.close()
                return found

    def run(self, *words: str, kill_after: str | None = None, signal_number: int = signal.SIGKILL) -> int:
        """Run a verb against the server, and end it when it prints a line that begins with `kill_after`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "durable_debugger", *words, "--endpoint-url", self.url],
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        with process:
            assert process.stdout
            for line in process.stdout:
                self.said += line
                if kill_after is not None and line.startswith(kill_after):
                    process.send_signal(signal_number)
                    kill_after = None
        return process.returncode
