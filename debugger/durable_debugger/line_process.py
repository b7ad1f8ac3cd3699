"""Records one replay line by line, in a process of its own: `python -m durable_debugger.line_process HANDLER`.

The debugger starts it again after every edit, so that the code on disk is what runs. It reads an execution as a bundle from
stdin, and writes the recording as JSON to stdout. What the user's code prints goes to stderr.
"""

import json
import os
import sys

from durable_debugger.model.bundle import read_bundle
from durable_execution.replay.line_recorder import LineRecorder
from durable_execution.replay.loading import load_handler
from durable_execution.replay.recorded_state import RecordedState
from durable_execution.replay.replayer import rooted_at
from durable_execution.replay.run import UnusableHandlerError, handler_parts, run_once

SECONDS = 30.0
UNUSABLE = 3


def main() -> int:
    """Record the replay of the bundle on stdin."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    execution = read_bundle(json.loads(sys.stdin.read()))
    try:
        handler = load_handler(sys.argv[1])
    except UnusableHandlerError as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    _, name = handler_parts(handler)
    recorder = LineRecorder()
    state = RecordedState.of(rooted_at(execution, name), opened=None)
    run_once(handler, state, seconds=SECONDS, watch=False, recorder=recorder)
    with answer:
        json.dump(recorder.recording().to_wire(), answer)
    sys.stderr.flush()
    os._exit(0)  # threads of the user's code may still wait


if __name__ == "__main__":
    sys.exit(main())
