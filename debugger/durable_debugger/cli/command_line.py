"""The parser of the command line: one sentence for each mistake, with the nearest word that exists.

Types of options: numbers within their range, and one of several words in any case.
"""

import argparse
import math
import re
import sys
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

from durable_debugger.cli.exits import CommandError
from durable_debugger.cli.output import is_unicode
from durable_debugger.text.glyphs import to_ascii

MAX_SECONDS = 366 * 24 * 3600.0
MAX_PORT = 65535
CHOICE = re.compile(
    r"argument (?P<option>.+?): invalid choice: (?P<value>'.*?'|\".*?\") \(choose from (?P<known>.*)\)$"
)
SHOWN = 80
PAYLOAD_STARTS = ("{", "[", '"', "@")
"""How a payload starts, in JSON or as the name of a file."""


class CommandParser(ArgumentParser):
    """A parser that raises `CommandError` with one sentence, instead of printing every option that exists."""

    def parse_all(self, words: Sequence[str], elsewhere: Callable[[str], str]) -> Namespace:
        """Parse the words of a command.

        Args:
            words: The words.
            elsewhere: Says which other verb has an option that the verb does not have; nothing if none has.

        Raises:
            CommandError: A word is not known, missing, or not allowed where it stands.
        """
        arguments, unknown = self.parse_known_args(list(words))
        if unknown:
            parser = self.chosen(arguments)
            if not parser.takes(unknown, arguments):
                parser.error(parser.unknown(unknown, elsewhere))
        return arguments

    def takes(self, words: Sequence[str], arguments: Namespace) -> bool:
        """Add words after the first option, where argparse expects none: to an optional argument, or one of any number."""
        last = next((one for one in self._actions if not one.option_strings and one.nargs == "?"), None)
        if (
            last is not None
            and len(words) == 1
            and getattr(arguments, last.dest) is last.default
            and words[0][:1] != "-"
        ):
            setattr(arguments, last.dest, self._get_value(last, words[0]))
            return True
        many = next((one for one in self._actions if not one.option_strings and one.nargs == "+"), None)
        if many is None or any(word.startswith("-") for word in words):
            return False
        found: list[Any] = getattr(arguments, many.dest)
        found += [self._get_value(many, word) for word in words]
        return True

    def error(self, message: str) -> NoReturn:
        """Raise the mistake as a `CommandError`."""
        found = CHOICE.match(message)
        if found is not None:
            known = [word.strip("'\" ") for word in found["known"].split(",")]
            value = found["value"][1:-1]
            message = (
                f"{found['option']}: {value!r:.{SHOWN}} is not one of {', '.join(known)}{nearest_of(value, known)}"
            )
        raise CommandError(f"{message.removeprefix('argument ')} (see `{self.prog} --help`)")

    def unknown(self, words: Sequence[str], elsewhere: Callable[[str], str]) -> str:
        """Describe words that the verb does not know."""
        word = words[0]
        if not word.startswith("-"):
            hint = (
                "; pass the payload with --input" if self.has_option("--input") and word[:1] in PAYLOAD_STARTS else ""
            )
            return f"unexpected argument {word!r:.{SHOWN}}{hint}"
        option = word.partition("=")[0]
        known = [name for name in self._option_string_actions if name.startswith("--")]
        return f"unknown option {option:.{SHOWN}}{elsewhere(option) or nearest_of(option, known)}"

    @property
    def arguments(self) -> list[Action]:
        """Its arguments and options; argparse has no public name for them."""
        return self._actions

    def has_option(self, name: str) -> bool:
        """Whether it has an option of this name."""
        return name in self._option_string_actions

    def chosen(self, arguments: Namespace) -> "CommandParser":
        """The parser of the verb, and of its own verb, that the words named."""
        parser = self
        for action in (one for one in self._actions if isinstance(one, argparse._SubParsersAction)):  # noqa: SLF001  # no public name
            name = getattr(arguments, action.dest, None)
            if name in action.choices:
                parser = cast("CommandParser", action.choices[name]).chosen(arguments)
        return parser

    def format_help(self) -> str:
        """Return the help, in ASCII where the terminal has nothing else."""
        text = super().format_help()
        return text if is_unicode(sys.stdout) else to_ascii(text)


def nearest_of(word: str, known: Iterable[str], *, before: str = "; did you mean ", after: str = "?") -> str:
    """Return the known word that is most like a given one, as a question; empty when none is."""
    by_fold = {each.casefold(): each for each in known}
    near = get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return f"{before}{by_fold[near[0]]}{after}" if near else ""


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return the type of an option that is a whole number within a range."""
    allowed = f"a whole number from {least} to {most}"

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r:.{SHOWN}} is not {allowed}") from None
        if not least <= number <= most:
            raise ArgumentTypeError(f"{text!r:.{SHOWN}} is not {allowed}")
        return number

    return read


positive = whole_number(1, 1_000_000_000)
port = whole_number(0, MAX_PORT)


def seconds(text: str) -> float:
    """Read a number of seconds, more than 0 and at most a year."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= MAX_SECONDS:
        raise ArgumentTypeError(
            f"{text!r:.{SHOWN}} is not a number of seconds, more than 0 and at most {MAX_SECONDS:.0f}"
        )
    return number


def web_address(text: str) -> str:
    """Read the address of a Lambda API."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ArgumentTypeError(f"{text!r:.{SHOWN}} is not an address such as http://127.0.0.1:9014")
    return text


@dataclass(frozen=True, slots=True)
class WordOf:
    """The type of an option that is one of several words, in any case.

    Attributes:
        words: The words, which a shell completes.
    """

    words: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Read one of the words.

        Raises:
            ArgumentTypeError: The text is a different word.
        """
        found = next((word for word in self.words if word.casefold() == text.casefold()), None)
        if found is None:
            near = nearest_of(text, self.words)
            raise ArgumentTypeError(f"{text!r:.{SHOWN}} is not one of {', '.join(self.words)}{near}")
        return found


def word_of(words: Iterable[str]) -> WordOf:
    """Return the type of an option that is one of several words, in any case."""
    return WordOf(tuple(map(str, words)))
