"""`make demo`: runs the order workflow in real time, shows what happened, and what a changed handler would have broken.

Kill it at any moment and run it again: it resumes the execution that it started.
"""

import argparse
import contextlib
import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path

import order_workflow
from durable_debugger.cli import main as durable_debug
from durable_debugger.cli.exits import Exit
from durable_debugger.cli.output import Output
from durable_debugger.cli.progress import Progress
from durable_execution.errors import EngineError, ServiceError
from durable_execution.local import LocalEngine
from durable_execution.protocol import ExecutionArn

ORDER = {
    "order_id": "A-17",
    "email": "ada@example.com",
    "lines": [
        {"article": "tea", "price": "4.20"},
        {"article": "pot", "price": "24.50"},
        {"article": "cups", "price": "36.00"},
        {"article": "tin", "price": "6.30"},
    ],
}
THE_APPROVER_THINKS_SECONDS = 1.0
LOOK_EVERY_SECONDS = 0.1


def execution_name(note: Path) -> str:
    """The execution of this demo: the unfinished one of an earlier run, or a new one."""
    with contextlib.suppress(FileNotFoundError):
        return note.read_text(encoding="utf-8")
    name = f"demo-{uuid.uuid4().hex[:8]}"
    note.parent.mkdir(parents=True, exist_ok=True)
    draft = note.with_suffix(".draft")
    draft.write_text(name, encoding="utf-8")
    draft.replace(note)
    return name


def approve(engine: LocalEngine, execution: str) -> None:
    """Complete the callback from outside. On Lambda a different program or a person does this."""
    # If the callback was completed before the demo was killed, or never reached, there is nothing to complete.
    with contextlib.suppress(EngineError, ServiceError):
        callback_id = engine.wait_for_callback_id(execution, "manager_approval")
        if not engine.clock.is_skipping:
            time.sleep(THE_APPROVER_THINKS_SECONDS)
        answer = json.dumps({"approved": True, "by": "Grace"})
        engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=answer)


def run_order(engine: LocalEngine, name: str, output: Output) -> str:
    """Run the workflow to its end and print its progress. Returns the execution's ARN."""
    engine.register("process_order", order_workflow.process_order)
    engine.register(order_workflow.INVOICE_FUNCTION, order_workflow.issue_invoice)
    execution = engine.start("process_order", ORDER, name=name)
    engine.resume()
    approver = threading.Thread(target=approve, args=(engine, execution), daemon=True)
    approver.start()
    progress = Progress(engine.client, execution)
    while approver.is_alive() or (not engine.clock.is_skipping and engine.result(execution) is None):
        output.lines(progress.news())
        time.sleep(LOOK_EVERY_SECONDS)
    result = engine.wait(execution)
    output.lines(progress.news())
    print(f"\n{result.status}: {json.dumps(result.result)}")
    return execution


def show(execution: str, store: Path) -> None:
    """Print the operation tree, and open the debugger if there is a terminal."""
    heading("What happened")
    identifier = ExecutionArn.parse(execution).id
    durable_debug(["show", identifier, "--store", str(store)])
    if sys.stdin.isatty() and sys.stdout.isatty():
        durable_debug([identifier, "--store", str(store)])
    else:
        print(f"\nTo step through it in a terminal:\n  .venv/bin/durable-debug {identifier}")


def show_divergence(execution: str, store: Path) -> bool:
    """The same execution replayed against a changed handler. Returns whether the expected divergence was found."""
    heading("The same execution, replayed against a changed handler (examples/order_workflow_changed.py)")
    changed = f"{Path(__file__).with_name('order_workflow_changed.py')}:process_order"
    exit_code = durable_debug(["replay", execution, changed, "--headless", "--store", str(store)])
    return exit_code == Exit.DIVERGED


def heading(text: str) -> None:
    """Print a line between the sections."""
    print(f"\n── {text} ".ljust(100, "─") + "\n")


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default=Path(".durable/executions.db"), help="where executions are kept")
    parser.add_argument("--time", choices=("real", "skip"), default="real", help="skip: jump over waits")
    arguments = parser.parse_args()
    note = arguments.store.with_name("demo-in-progress")
    os.environ.setdefault("DURABLE_REPLAY_TRACE_LOCALS", "1")  # the debugger then shows local variables at each call
    heading("An order, from payment to delivery (examples/order_workflow.py)")
    with LocalEngine(arguments.store, time=arguments.time) as engine:
        execution = run_order(engine, execution_name(note), Output())
    show(execution, arguments.store)
    is_found = show_divergence(execution, arguments.store)
    note.unlink(missing_ok=True)
    return 0 if is_found else 1


if __name__ == "__main__":
    sys.exit(main())
