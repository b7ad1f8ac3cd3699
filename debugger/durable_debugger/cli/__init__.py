"""The command line: one file per verb. No verb loads the screen before it needs it."""

from durable_debugger.cli.entry import main

__all__ = ["main"]
