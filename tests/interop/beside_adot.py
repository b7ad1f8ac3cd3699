"""A handler that uses AWS's ADOT distribution, Powertools, aiobotocore and this SDK together: `make test-beside` runs it.

It runs in an environment of its own, installed from the built wheel, under `opentelemetry-instrument`. Without an error it
prints what it saw, and exits with 0.
"""

import asyncio
import importlib
import json
import os
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RECEIVED: list[Any] = []


class Receiver(BaseHTTPRequestHandler):
    """Accepts spans by OTLP, and answers everything else with an empty JSON object."""

    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/v1/traces":
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            request = ExportTraceServiceRequest.FromString(body)
            RECEIVED.extend(span for r in request.resource_spans for scope in r.scope_spans for span in scope.spans)
        self.send_response(200)
        answer = b"" if self.path == "/v1/traces" else b"{}"
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name it is called with
        """Quiet."""


def run_handler() -> Any:
    """Run a workflow that uses everything at once."""
    import boto3
    from aws_lambda_powertools import Logger, Metrics
    from aws_lambda_powertools.metrics import MetricUnit

    from durable_execution import DurableContext, StepContext, durable_execution
    from durable_execution.local import LocalEngine

    get_session: Any = importlib.import_module(
        "aiobotocore.session"
    ).get_session  # installed only for `make test-beside`
    logger = Logger(service="orders")
    metrics = Metrics(namespace="Shop", service="orders")

    options: Any = {
        "region_name": "eu-west-1",
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
        "endpoint_url": f"http://127.0.0.1:{os.environ['RECEIVER_PORT']}",
    }

    async def store_async(_: StepContext) -> int:
        async with get_session().create_client("dynamodb", **options) as client:
            answer = await client.list_tables()
        return int(answer["ResponseMetadata"]["HTTPStatusCode"])

    def store(_: StepContext) -> int:
        answer = boto3.client("dynamodb", **options).list_tables()
        return int(answer["ResponseMetadata"]["HTTPStatusCode"])

    @logger.inject_lambda_context
    @metrics.log_metrics
    @durable_execution
    async def process(order: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
        logger.info("started", extra={"order": order["order_id"]})
        stored = await asyncio.gather(ctx.step(store_async, name="store_async"), ctx.step(store, name="store"))
        metrics.add_metric(name="orders", unit=MetricUnit.Count, value=1)
        await ctx.wait(timedelta(seconds=5))
        return {"stored": list(stored)}

    with LocalEngine(None, time="skip") as engine:
        engine.register("process", process)
        return engine.run("process", {"order_id": "A-17"})


def main() -> int:
    """Run, and check what arrived."""
    from importlib.metadata import version

    from opentelemetry import trace

    provider: Any = trace.get_tracer_provider()
    execution = run_handler()
    provider.force_flush()
    spans = {span.span_id: span for span in RECEIVED}
    orphans = [span.name for span in spans.values() if span.parent_span_id and span.parent_span_id not in spans]
    under = {span.name: spans[span.parent_span_id].name for span in spans.values() if span.parent_span_id in spans}
    print(json.dumps({"opentelemetry": version("opentelemetry-api"), "botocore": version("botocore")}))
    print(json.dumps({"result": execution.result, "error": execution.error and str(execution.error)}))
    print(json.dumps({"under": under, "traces": len({span.trace_id for span in RECEIVED}), "orphans": orphans}))
    is_right = execution.result == {"stored": [200, 200]} and under.get("DynamoDB.ListTables") == "store attempt 1"
    return 0 if is_right and {"Workflow", "Invocation"} <= set(under) and not orphans else 1


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["RECEIVER_PORT"])), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = main()
    server.shutdown()
    sys.exit(code)
