"""Colors: two built-in themes, and the style of each role in any theme.

Roles are resolved here once per theme instead of by style sheets: a pane draws thousands of segments, and Textual would
resolve each role for each pane again whenever the view changes.
"""

from dataclasses import dataclass

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

DEFAULT_THEME = "durable-safe"


@dataclass(frozen=True, slots=True)
class RoleColors:
    """Colors that Textual themes have no names for.

    Attributes:
        ok: Succeeded.
        fail: Failed.
        run: Running, and the recorded side.
        wait: Waiting, and the replayed side.
        div: Differences.
        cursor: Background of the selected row.
    """

    ok: str
    fail: str
    run: str
    wait: str
    div: str
    cursor: str


DARK = RoleColors(ok="#14b588", fail="#f07a28", run="#56B4E9", wait="#E69F00", div="#d68ab5", cursor="#28313c")
"""The hues of the Okabe-Ito palette: the two sides are blue and orange, never red and green.

Green, vermilion and purple are lighter than in the palette, so that they can be read on the selected row too."""

LIGHT = RoleColors(ok="#005f46", fail="#964200", run="#005f96", wait="#785200", div="#8a416f", cursor="#d9e1ea")
TERMINAL = RoleColors(ok="cyan", fail="bright_red", run="blue", wait="yellow", div="magenta", cursor="")

DURABLE_SAFE = Theme(
    name=DEFAULT_THEME,
    primary=DARK.run,
    secondary="#0072B2",
    accent=DARK.wait,
    foreground="#d7dde4",
    background="#10151b",
    surface="#161c24",
    panel="#1d2530",
    success=DARK.ok,
    warning=DARK.wait,
    error=DARK.fail,
    dark=True,
    variables={"footer-key-foreground": DARK.wait},
)

DURABLE_SAFE_LIGHT = Theme(
    name="durable-safe-light",
    primary=LIGHT.run,
    secondary=LIGHT.run,
    accent="#875000",
    foreground="#1c232b",
    background="#f7f8fa",
    surface="#eef1f4",
    panel="#e3e8ed",
    success=LIGHT.ok,
    warning=LIGHT.wait,
    error=LIGHT.fail,
    dark=False,
)

DIMMED = 0.25
"""How much of the background is in dimmed text: more could not be read on the selected row."""

CURSOR, BLURRED_CURSOR = "cursor", "cursor_blurred"
_PALETTES: dict[str, dict[str, Style]] = {}


def palette(theme: Theme) -> dict[str, Style]:
    """Return the style of each role in a theme."""
    if theme.name not in _PALETTES:
        _PALETTES[theme.name] = _palette(theme)
    return _PALETTES[theme.name]


def _palette(theme: Theme) -> dict[str, Style]:
    is_terminal = theme.name.startswith("ansi")
    colors = TERMINAL if is_terminal else DARK if theme.dark else LIGHT
    dim = Style(dim=True) if is_terminal else Style(color=_dimmed(theme))
    accent = Style(color=colors.wait if is_terminal else Color.parse(theme.accent or colors.wait).hex, bold=True)
    ok, run, wait = Style(color=colors.ok), Style(color=colors.run), Style(color=colors.wait)
    return {
        "text": Style(),
        "name": Style(),
        "title": Style(bold=True),
        "dim": dim,
        "key": dim,
        "off": dim,
        "accent": accent,
        "match": accent + Style(underline=True),
        "ok": ok,
        "fail": Style(color=colors.fail, bold=True),
        "run": run,
        "wait": wait,
        "warning": wait + Style(bold=True),
        "divergence": Style(color=colors.div, bold=True, reverse=True),
        "follow_on": Style(color=colors.div),
        "recorded": run,
        "replayed": wait,
        "code_keyword": run,
        "code_string": ok,
        "code_comment": dim + Style(italic=True),
        "code_number": wait,
        "code_name": Style(bold=True),
        CURSOR: Style(reverse=True) if is_terminal else Style(bgcolor=colors.cursor, bold=True),
        BLURRED_CURSOR: Style(bold=True),
    }


def _dimmed(theme: Theme) -> str:
    """The foreground color, blended with the background."""
    foreground = theme.foreground or ("#e0e0e0" if theme.dark else "#202020")
    background = theme.background or ("#121212" if theme.dark else "#fafafa")
    return Color.parse(foreground).blend(Color.parse(background), DIMMED).hex6
