"""The command line: one file per verb, none of which loads the screen before it is needed."""

from durable_debugger.cli.entry import main

__all__ = ["main"]
