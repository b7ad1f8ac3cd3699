"""The end of a Lambda environment, under a handler's feet."""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from durable_execution import StepContext

SCRATCH = "CONFORMANCE_SCRATCH"
"""A directory for what a handler must remember although its process died; set where handlers have processes of their own."""


CRASH_SECONDS = "CONFORMANCE_CRASH_SECONDS"
"""How long a handler waits before it ends its process: a second, where what it has not sent is recorded nowhere else."""


def crash() -> NoReturn:
    """End this process at once. Where handlers run in the process of the tests, only the invocation ends."""
    if SCRATCH in os.environ:
        sys.stdout.flush()
        time.sleep(float(os.environ.get(CRASH_SECONDS, "0")))
        os._exit(1)
    sys.exit(1)


def crash_once(step: StepContext) -> None:
    """End this process, unless this execution's step has done so before."""
    name = f"{step.execution_arn.rpartition('/')[2]}-{step.operation_id}"
    marker = Path(os.environ.get(SCRATCH, tempfile.gettempdir())) / f"crashed-{name}"
    if marker.exists():
        marker.unlink()
        return
    marker.touch()
    crash()
