"""Takes the pictures of VS Code in the documentation: `python docs/vscode_pictures.py FOLDER`.

Needs Chromium, Node.js, and the packages `playwright` and `durable-execution-sdk[ide]`. FOLDER has VS Code's server, from npm:

    npm install --ignore-scripts code-server
    npm install --ignore-scripts --omit=dev --prefix node_modules/code-server/lib/vscode

FOLDER is then `node_modules/code-server/lib/vscode`. A changed order workflow is replayed with `--debugpy`; VS Code runs it from
the entry that the command wrote. What stands in for Microsoft's Python extension only connects VS Code to debugpy.
"""

import argparse
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pictures import CHECK, IMAGES, Workshop

WIDTH, HEIGHT = 1060, 660
SECONDS = 60
SETTINGS = {
    "breadcrumbs.enabled": False,
    "chat.commandCenter.enabled": False,
    "debug.internalConsoleOptions": "neverOpen",
    "debug.toolBarLocation": "docked",
    "editor.minimap.enabled": False,
    "editor.stickyScroll.enabled": False,
    "telemetry.telemetryLevel": "off",
    "window.menuBarVisibility": "hidden",
    "workbench.colorTheme": "Default Light Modern",
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
}
MANIFEST = {
    "name": "attach",
    "publisher": "docs",
    "version": "0.0.1",
    "engines": {"vscode": "^1.80.0"},
    "main": "./extension.js",
    "activationEvents": ["onDebug"],
    "contributes": {
        "breakpoints": [{"language": "python"}],
        "debuggers": [{"type": "debugpy", "label": "Python Debugger", "languages": ["python"]}],
    },
}
EXTENSION = """
const { debug, DebugAdapterServer } = require('vscode');
const createDebugAdapterDescriptor = ({ configuration: { connect } }) => new DebugAdapterServer(connect.port, connect.host);
exports.activate = () => debug.registerDebugAdapterDescriptorFactory('debugpy', { createDebugAdapterDescriptor });
"""


def free_port() -> int:
    """A port that no program uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(words: list[str], says: str, log: Path) -> Iterator[None]:
    """Run a program, from when it says that it is ready."""
    with log.open("w") as output, subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT) as program:
        try:
            until = time.monotonic() + SECONDS
            while says not in log.read_text(encoding="utf-8"):
                if program.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(log.read_text(encoding="utf-8"))
                time.sleep(0.1)
            yield
        finally:
            program.terminate()


@contextlib.contextmanager
def vscode(server: Path, data: Path) -> Iterator[str]:
    """Run VS Code's server with the settings and the extension; yields its address."""
    extension, settings = data / "extensions" / "docs.attach-0.0.1", data / "data" / "Machine"
    for folder in (extension, settings):
        folder.mkdir(parents=True)
    (extension / "package.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    (extension / "extension.js").write_text(EXTENSION, encoding="utf-8")
    (settings / "settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    port = free_port()
    words = [
        "node",
        str(server / "out" / "server-main.js"),
        "--without-connection-token",
        "--accept-server-license-terms",
        "--disable-workspace-trust",
    ]
    words += ["--host", "127.0.0.1", "--port", str(port), "--server-data-dir", str(data)]
    with running(words, "Extension host agent listening", data / "server.log"):
        yield f"http://127.0.0.1:{port}"


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where VS Code's server is")
    server = parser.parse_args().folder.resolve()

    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.gettempdir(), "shop")  # its path is in the pictures
        folder.mkdir()
        stack.callback(shutil.rmtree, folder)
        stack.enter_context(contextlib.chdir(folder))
        place = Workshop(folder)
        place.edit(CHECK)
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        words = [
            sys.executable,
            "-m",
            "durable_debugger",
            "replay",
            place.history.name,
            f"{place.module.name}:process_order",
        ]
        words += ["--debugpy", str(free_port()), "--write-config"]
        stack.enter_context(running(words, "waiting for an IDE", data / "replay.log"))
        address = stack.enter_context(vscode(server, data / "vscode"))
        opened = stack.enter_context(sync_playwright()).chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page: Any = opened.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        first = _line_of(place.module, "total = await")
        file = f"vscode-remote://{address.removeprefix('http://')}{place.module.resolve()}:{first}:1"
        opening = quote(json.dumps([["openFile", file], ["gotoLineMode", "true"]]))
        page.goto(f"{address}/?folder={place.directory.resolve()}&payload={opening}")
        _take(page, first)
        opened.close()


def _line_of(module: Path, text: str) -> int:
    lines = module.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def _take(page: Any, first: int) -> None:
    """Stop at a breakpoint, step over two recorded calls, and run into the difference."""

    def keys(*names: str) -> None:
        for name in names:
            page.keyboard.press(name)
            page.wait_for_timeout(1000)

    number = page.locator(".line-numbers", has_text=str(first)).first.bounding_box()
    for _ in range(SECONDS):  # until the extension is there
        page.mouse.click(number["x"] - 8, number["y"] + number["height"] / 2)
        page.wait_for_timeout(1000)
        if page.locator(".codicon-debug-breakpoint").count():
            break
    keys("F5")
    stopped = page.locator(".debug-top-stack-frame-line")
    stopped.first.wait_for(timeout=SECONDS * 1000)
    keys("F10", "F10")
    page.get_by_text("'pay-A-17'").first.wait_for(timeout=SECONDS * 1000)
    page.mouse.move(WIDTH - 5, HEIGHT // 2)
    page.wait_for_timeout(1500)
    page.screenshot(path=IMAGES / "vscode-stopped.png")
    keys("F10")
    page.locator(".exception-widget").wait_for(timeout=SECONDS * 1000)
    page.wait_for_timeout(1500)
    page.screenshot(path=IMAGES / "vscode-divergence.png")


if __name__ == "__main__":
    main()
