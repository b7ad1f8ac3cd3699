"""The local engine behind the real Lambda API, for boto3, the AWS CLI, and functions in any language.

Requires the extra `server` (starlette and uvicorn), which only this package imports.
"""

from durable_execution.local.http.application import JsonLog
from durable_execution.local.http.processes import ProcessHost
from durable_execution.local.http.remote import RemoteHost
from durable_execution.local.http.server import LocalServer, serve

__all__ = ["JsonLog", "LocalServer", "ProcessHost", "RemoteHost", "serve"]
