"""The approval API: `POST /approvals/{callback_id}` with `{"approved": true, "by": "…"}` completes the callback.

An authorizer in front of it decides who may approve: the callback ID alone must not be enough.
"""

import json
from base64 import b64decode
from typing import Any
from urllib.parse import unquote


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Complete a callback. The event is that of an HTTP API with payload format 2.0, or of a function URL."""
    import boto3

    _, found, callback_id = event["rawPath"].partition("/approvals/")  # a function URL has no path parameters
    if not found:
        return _response(404, "send POST /approvals/{callback_id}")
    try:
        text = event.get("body") or "{}"
        body = json.loads(b64decode(text) if event.get("isBase64Encoded") else text)
        answer = {"approved": bool(body["approved"]), "by": str(body["by"])}
    except (ValueError, KeyError, TypeError):
        return _response(400, 'send {"approved": true or false, "by": "name"}')
    client = boto3.client("lambda")
    try:
        client.send_durable_execution_callback_success(
            CallbackId=unquote(callback_id), Result=json.dumps(answer).encode()
        )
    except client.exceptions.ResourceNotFoundException:
        return _response(404, "this callback does not exist, or was completed already")
    return _response(202, "recorded")


def _response(status: int, message: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"message": message}),
    }
