"""Makes the pictures of the documentation from the real debugger: `python docs/pictures.py EXECUTION`.

EXECUTION is one that `make demo` has left in the local store; the pictures are committed.
"""

import asyncio
import sys
from pathlib import Path

from durable_debugger.app import DebuggerApp
from durable_debugger.model.session import Session
from durable_debugger.sources.local import LocalExecutions
from durable_debugger.sources.places import find

IMAGES = Path(__file__).parent / "images"
SIZE = (132, 38)
PICTURES = {
    "debugger.svg": ("tree", ["down", "down"]),
    "debugger-step.svg": ("step", ["n"] * 11),
}
"""File name: the view that is opened, and the keys that are pressed."""


async def take(execution: str, name: str, view: str, keys: list[str]) -> None:
    """Open the debugger, press the keys, keep what it shows."""
    loaded = find(execution, [LocalExecutions()])
    session = Session(loaded.execution, as_of=loaded.as_of, origin=loaded.origin, title=loaded.title)
    app = DebuggerApp(session, loaded=loaded, view=view)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.5)
        await pilot.press(*keys)
        await app.workers.wait_for_complete()
        await pilot.pause(0.5)
        (IMAGES / name).write_text(app.export_screenshot(title="durable-debug"), encoding="utf-8")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for file_name, (opened, pressed) in PICTURES.items():
        asyncio.run(take(sys.argv[1], file_name, opened, pressed))
        print(f"wrote {IMAGES / file_name}", file=sys.stderr)
