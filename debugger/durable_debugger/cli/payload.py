"""Values on the command line: JSON, `@file`, or `-` for stdin."""

import json
import sys
from pathlib import Path
from typing import Any

from durable_debugger.cli.exits import CommandError


def read_json(text: str, option: str) -> Any:
    """The JSON value of an option.

    Args:
        text: JSON, `@` and the path of a file, or `-` for stdin.
        option: The option, for the message.

    Raises:
        CommandError: The value is not JSON, or the file cannot be read.
    """
    source = read_text(text, option)
    try:
        return json.loads(source)
    except ValueError as error:
        hint = f"""; quote a string twice: {option} '"{text}"'""" if text.isidentifier() else ""
        raise CommandError(f"{option} is not JSON: {error}{hint}") from error


def read_text(text: str, option: str) -> str:
    """The text of an option: from the command line, a file or stdin.

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
        raise CommandError(f"{option}: cannot read {text[1:]}: {error}") from error
