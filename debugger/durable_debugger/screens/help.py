"""The help screen: the keys of a view, from the list of actions."""

from durable_debugger.actions import actions_of, key_text
from durable_debugger.screens.document import DocumentScreen
from durable_debugger.text.cells import pad
from durable_debugger.text.lines import Line, Part

KEY_WIDTH = 10
LABEL_WIDTH = 20


class HelpScreen(DocumentScreen):
    """Keys by group.

    Args:
        view: The view.
        keymap: The user's keys by action id.
    """

    def __init__(self, view: str, keymap: dict[str, str] | None = None) -> None:
        super().__init__(f"Keys of the {view} view", help_lines(view, keymap or {}))


def help_lines(view: str, keymap: dict[str, str]) -> list[Line]:
    """Return a line per action, grouped."""
    lines: list[Line] = []
    actions = actions_of(view)
    for group in dict.fromkeys(action.group for action in actions):
        lines.append([Part(f" {group}", "title")])
        for action in actions:
            if action.group == group:
                keys = key_text(keymap[action.id]) if action.id in keymap else action.shown_key or key_text(action.keys)
                lines.append(
                    [
                        Part(f"   {pad(keys, KEY_WIDTH)}", "accent"),
                        Part(pad(action.label, LABEL_WIDTH), "name"),
                        Part(action.help, "dim"),
                    ]
                )
        lines.append([])
    return lines
