"""Which language a letter is written in."""

import locale

from tests.replay.causes.common.timing import note, timed

TEMPLATES = {"UTF-8": "letter_unicode", "ANSI_X3.4-1968": "letter_plain", "US-ASCII": "letter_plain"}
GREETING = {"DE": "Guten Tag", "US": "Hello", "CH": "Grüezi"}
PLAIN = str.maketrans({"ü": "ue", "ä": "ae", "ö": "oe", "ß": "ss"})


def greeting(country: str) -> str:
    return GREETING.get(country, "Hello")


def encoding() -> str:
    """What the printer of this machine understands."""
    return locale.getlocale()[1] or "US-ASCII"  # CAUSE


def template() -> str:
    """Name of the template that can be printed."""
    with timed("template"):
        found = encoding()
        name = TEMPLATES.get(found, "letter_plain")
    note("template", name=name)
    return name


def plain(text: str) -> str:
    return text.translate(PLAIN)
