"""Values on the command line: JSON, `@file`, or `-` for stdin."""

import json
import sys
from pathlib import Path
from typing import Any

from durable_debugger.cli.exits import CommandError


def read_json(text: str, option: str) -> Any:
    """The JSON value that an option was given.

    Args:
        text: JSON, `@` and the path of a file, or `-` for stdin.
        option: The option, for the message.

    Raises:
        CommandError: It is no JSON, or the file cannot be read.
    """
    source = read_text(text, option)
    try:
        return json.loads(source)
    except ValueError as error:
        hint = f"""; for a text write {option} '"{text}"'""" if text.isidentifier() else ""
        raise CommandError(f"{option} is not JSON: {error}{hint}") from error


def read_text(text: str, option: str) -> str:
    """The text that an option was given, from the command line, a file or stdin.

    Raises:
        CommandError: The file cannot be read.
    """
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{option} cannot be read from {text[1:]}: {error}") from error
