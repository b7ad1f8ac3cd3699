"""The local engine on the real Lambda API, for boto3, the AWS CLI, and functions in any language.

Needs the extra `server` (starlette and uvicorn), which is imported in this package only.
"""

from durable_execution.local.http.log import JsonLog
from durable_execution.local.http.processes import ProcessHost
from durable_execution.local.http.remote import RemoteHost
from durable_execution.local.http.server import LocalServer, serve

__all__ = ["JsonLog", "LocalServer", "ProcessHost", "RemoteHost", "serve"]
