"""Workflows written for AWS's SDK, as handlers that tests host in worker processes. Not a test."""

from tests.interop.aws_workflows import WORKFLOWS, handler_of

globals().update({f"aws_{workflow.__name__}": handler_of(workflow.__name__) for workflow in WORKFLOWS})
