"""The characters the debugger draws with, and their ASCII stand-ins.

Every glyph is one cell wide in all width tables and has no emoji form. Views always draw in Unicode. For a terminal
without Unicode, or with `--ascii`, `to_ascii` translates finished lines cell by cell.
"""

from durable_debugger.text.cells import char_width

ROOT = "≠"
FOLLOW_ON = "≈"
RECORDED = "−"
REPLAYED = "+"
CURSOR = "▌"
POINTER = "▸"
BREAKPOINT = "●"
LOGGING = "»"
WATCH = "="
EDITED = "*"
RETRY = "↻"
OPEN = "▾"
CLOSED = "▸"
TEE = "├"
LAST = "└"
PIPE = "│"
RULE = "─"
RUN = "█"
SPAN = "━"
GAP = "·"
WAIT = "░"
HALF = "▌"
IDLE = "┆"
HIDDEN = "⊘"
DASH = "—"
ARROW = "→"
DOT = "·"
FOLLOWING = "●"
NOT_FOLLOWING = "○"

STAND_INS = {
    ROOT: "#",
    FOLLOW_ON: "~",
    RECORDED: "-",
    CURSOR: ">",
    POINTER: ">",
    FOLLOWING: "*",
    NOT_FOLLOWING: "o",
    RETRY: "r",
    LOGGING: "&",
    OPEN: "v",
    TEE: "|",
    LAST: "`",
    PIPE: "|",
    RULE: "-",
    RUN: "#",
    SPAN: "=",
    GAP: ".",
    WAIT: "-",
    IDLE: ":",
    HIDDEN: "o",
    DASH: "-",
    ARROW: ">",
    "…": "~",
    "–": "-",
    "✓": "+",
    "✗": "x",
    "⧗": "w",
    "⊗": "t",
    "◌": ".",
    "×": "x",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "├": "|",
    "┤": "|",
    "┬": "+",
    "┴": "+",
    "┼": "+",
    "┌": "+",
    "┐": "+",
    "┘": "+",
}


def to_ascii(text: str) -> str:
    """Translate safe text to ASCII of the same width."""
    return text if text.isascii() else "".join(map(_stand_in, text))


def _stand_in(char: str) -> str:
    return char if char.isascii() else STAND_INS.get(char, "?" * char_width(char))
