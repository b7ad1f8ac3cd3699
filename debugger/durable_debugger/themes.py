"""Colours of states and sides: roles in, theme variables out."""

from textual.theme import Theme

ROLE_COLOURS = {
    "op-ok": "#009E73",
    "op-fail": "#D55E00",
    "op-run": "#56B4E9",
    "op-wait": "#E69F00",
    "op-div": "#CC79A7",
    "op-recorded": "#56B4E9",
    "op-replayed": "#E69F00",
    "cursor-row": "#2b3440",
}
"""The Okabe-Ito palette: the two sides are blue and orange, never red and green."""

ROLE_COLOURS_LIGHT = {
    "op-ok": "#00694d",
    "op-fail": "#a84a00",
    "op-run": "#0072B2",
    "op-wait": "#8a5f00",
    "op-div": "#96497a",
    "op-recorded": "#0072B2",
    "op-replayed": "#a35f00",
    "cursor-row": "#d5dde6",
}

DEFAULT_THEME = "durable-safe"

DURABLE_SAFE = Theme(
    name=DEFAULT_THEME,
    primary="#56B4E9",
    secondary="#0072B2",
    accent="#E69F00",
    foreground="#d7dde4",
    background="#10151b",
    surface="#161c24",
    panel="#1d2530",
    success="#009E73",
    warning="#E69F00",
    error="#D55E00",
    dark=True,
    variables={**ROLE_COLOURS, "footer-key-foreground": "#E69F00"},
)

DURABLE_SAFE_LIGHT = Theme(
    name="durable-safe-light",
    primary="#0072B2",
    secondary="#0072B2",
    accent="#a35f00",
    foreground="#1c232b",
    background="#f7f8fa",
    surface="#eef1f4",
    panel="#e3e8ed",
    success="#00694d",
    warning="#8a5f00",
    error="#a84a00",
    dark=False,
    variables=ROLE_COLOURS_LIGHT,
)
