"""Every action of the app, once. Keys, footer, help and command palette are generated from this list.

An action belongs to some views; within a view no key means two things. Its id is also the name under which a user's
key map changes its keys.
"""

from dataclasses import dataclass

ALL = frozenset({"tree", "timeline", "step", "diff", "events"})
TREES = frozenset({"tree", "timeline", "step"})
SEARCHABLE = ALL - {"step"}
TIMELINE = frozenset({"timeline"})


@dataclass(frozen=True, slots=True)
class Action:
    """Something a user can do.

    Attributes:
        id: Name in key maps and in code.
        keys: Keys, comma separated, as Textual names them.
        label: One or two words for footer and palette.
        help: A sentence for the help screen.
        views: Views in which it works.
        footer: Rank in the footer, lowest first; 0 keeps it out.
        shown_key: How the key is written; the first key when empty.
        group: Heading in the help screen.
    """

    id: str
    keys: str
    label: str
    help: str
    views: frozenset[str] = ALL
    footer: int = 0
    shown_key: str = ""
    group: str = "Anywhere"


MOVE, STEP, LOOK, TIME, COMPARE = "Moving", "Stepping", "Looking", "Timeline", "Comparing"

ACTIONS: tuple[Action, ...] = (
    Action("view_tree", "1", "Tree", "Show the operation tree: what happened.", group=LOOK),
    Action("view_timeline", "2", "Timeline", "Show the timeline: when it happened.", group=LOOK),
    Action("view_step", "3", "Step", "Show the step view: how the code got here.", group=LOOK),
    Action("view_diff", "4", "Diff", "Show the comparison: what differs.", group=LOOK),
    Action("view_events", "5", "Events", "Show the raw history events.", group=LOOK),
    Action("cursor_up", "up,k", "Up", "Move up by a row.", group=MOVE, shown_key="↑ k"),
    Action("cursor_down", "down,j", "Down", "Move down by a row.", group=MOVE, shown_key="↓ j"),
    Action("page_up", "pageup", "Page up", "Move up by a page.", group=MOVE),
    Action("page_down", "pagedown", "Page down", "Move down by a page.", group=MOVE),
    Action("first", "home", "First", "Go to the first row, or the first moment.", group=MOVE),
    Action("last", "end", "Last", "Go to the last row, or the last moment.", group=MOVE),
    Action("top", "g", "First", "Go to the first row.", SEARCHABLE, group=MOVE),
    Action("bottom", "G", "Last", "Go to the last row.", SEARCHABLE, group=MOVE),
    Action("fold", "left,h", "Fold", "Fold the row, or go to what encloses it.", frozenset({"tree"}), group=MOVE),
    Action("unfold", "right,l", "Unfold", "Unfold the row, or go to its first call.", frozenset({"tree"}), group=MOVE),
    Action("toggle_fold", "space", "Fold", "Fold or unfold the row.", TREES, group=MOVE),
    Action("unfold_chain", "asterisk", "Unfold chain", "Unfold as long as there is one child.", TREES, group=MOVE),
    Action("fold_all", "Z", "Fold all", "Fold every context.", TREES, group=MOVE),
    Action("unfold_all", "X", "Unfold all", "Unfold every context.", TREES, group=MOVE),
    Action(
        "next_sibling",
        "right_square_bracket",
        "Next sibling",
        "Go to the next call of the same context.",
        TREES,
        group=MOVE,
        shown_key="]",
    ),
    Action(
        "previous_sibling",
        "left_square_bracket",
        "Previous sibling",
        "Go to the previous call of the same context.",
        TREES,
        group=MOVE,
        shown_key="[",
    ),
    Action("next_pane", "tab", "Next pane", "Focus the next pane.", group=MOVE),
    Action("previous_pane", "shift+tab", "Previous pane", "Focus the previous pane.", group=MOVE, shown_key="⇧tab"),
    Action("step_here", "s", "Step", "Open the step view at the selected call.", SEARCHABLE, 2, group=LOOK),
    Action(
        "search",
        "slash",
        "Search",
        "Search names, errors and values; kind:step status:failed >2s attempt:>1.",
        SEARCHABLE,
        3,
        shown_key="/",
        group=LOOK,
    ),
    Action("next_hit", "n", "Next hit", "Go to the next search hit.", SEARCHABLE, group=LOOK),
    Action("previous_hit", "N", "Previous hit", "Go to the previous search hit.", SEARCHABLE, group=LOOK),
    Action(
        "next_failure",
        "exclamation_mark",
        "Next failure",
        "Go to the next call that failed.",
        footer=5,
        shown_key="!",
        group=LOOK,
    ),
    Action(
        "expand_value",
        "v",
        "Value",
        "Show input, result and error in full.",
        frozenset({"tree", "timeline", "step", "events"}),
        6,
        group=LOOK,
    ),
    Action("copy", "y", "Copy", "Copy what is known about the selected call.", footer=10, group=LOOK),
    Action("follow", "f", "Follow", "Stay at the end of an execution that goes on.", footer=8, group=LOOK),
    Action("edit", "e", "Editor", "Open the code of the call in $EDITOR.", footer=9, group=LOOK),
    Action("maximise", "z", "Maximise", "Give the focused pane the whole screen.", group=LOOK),
    Action("breakpoint", "b", "Break", "Stop, or stop no more, at calls of this name.", TREES, 7, group=STEP),
    Action("step_over", "n", "Over", "Go to the next call that is not deeper.", frozenset({"step"}), 1, group=STEP),
    Action("step_into", "s", "Into", "Go to the next call, however deep.", frozenset({"step"}), 1, group=STEP),
    Action(
        "step_out", "r", "Out", "Go to where the enclosing context is finished.", frozenset({"step"}), 1, group=STEP
    ),
    Action(
        "step_to_stop",
        "c",
        "To stop",
        "Go to the next divergence, breakpoint or failure.",
        frozenset({"step"}),
        1,
        group=STEP,
    ),
    Action(
        "back_over", "N", "Back over", "Go to the previous call that is not deeper.", frozenset({"step"}), 2, group=STEP
    ),
    Action("back_into", "S", "Back into", "Go to the previous call, however deep.", frozenset({"step"}), group=STEP),
    Action(
        "back_out", "R", "Back out", "Go to where the enclosing context is called.", frozenset({"step"}), group=STEP
    ),
    Action(
        "back_to_stop",
        "C",
        "Back to stop",
        "Go to the previous divergence, breakpoint or failure.",
        frozenset({"step"}),
        group=STEP,
    ),
    Action("next_moment", "right,l", "One moment on", "Go to the very next moment.", frozenset({"step"}), group=STEP),
    Action("previous_moment", "left,h", "One moment back", "Go to the moment before.", frozenset({"step"}), group=STEP),
    Action(
        "go_to",
        "g",
        "Go to",
        "Go to a call number, an invocation (i2) or a time (41.2s).",
        frozenset({"step"}),
        3,
        group=STEP,
    ),
    Action(
        "tree_or_source",
        "o",
        "Tree/source",
        "Show the tree or the source, where only one fits.",
        frozenset({"step"}),
        4,
        group=STEP,
    ),
    Action("diff_here", "d", "Diff", "Open the comparison at the selected call.", ALL - {"diff"}, 2, group=COMPARE),
    Action(
        "next_difference",
        "full_stop",
        "Next ≠",
        "Go to the next difference from the recording.",
        footer=4,
        shown_key=".",
        group=COMPARE,
    ),
    Action(
        "previous_difference", "comma", "Previous ≠", "Go to the previous difference.", shown_key=",", group=COMPARE
    ),
    Action(
        "by_position",
        "m",
        "Aligned/by position",
        "Pair calls by position, or align them.",
        frozenset({"diff"}),
        1,
        group=COMPARE,
    ),
    Action("values", "v", "Values", "Show recorded results, or remarks.", frozenset({"diff"}), 1, group=COMPARE),
    Action(
        "run_to", "t", "Run to", "Go on to the next time the selected call is made.", frozenset({"step"}), group=STEP
    ),
    Action("jump_to_pane", "ctrl+o", "Jump to pane", "Focus a pane by the beginning of its name.", group=MOVE),
    Action("zoom_in", "plus,equals_sign", "Zoom in", "Widen the time axis.", TIMELINE, 1, shown_key="+", group=TIME),
    Action("zoom_out", "minus", "Zoom out", "Narrow the time axis.", TIMELINE, 1, shown_key="-", group=TIME),
    Action("zoom_fit", "0", "Fit", "Show the whole execution.", TIMELINE, 1, group=TIME),
    Action("pan_left", "left,h", "Earlier", "Move to earlier times.", TIMELINE, group=TIME),
    Action("pan_right", "right,l", "Later", "Move to later times.", TIMELINE, group=TIME),
    Action("fold_idle", "x", "Fold idle", "Fold idle time, or show it to scale.", TIMELINE, 1, group=TIME),
    Action(
        "critical",
        "P",
        "Critical path",
        "Mark the calls that made the execution last this long.",
        TIMELINE,
        2,
        group=TIME,
    ),
    Action("commands", "colon,ctrl+p", "Commands", "Find any action by name.", shown_key=":"),
    Action("help", "question_mark,f1", "Help", "Show the keys of this view.", footer=9, shown_key="?"),
    Action("back", "escape", "Back", "Close what is open, end the search, or go back a view."),
    Action("quit", "q", "Quit", "Leave the debugger.", footer=11),
)

BY_ID = {action.id: action for action in ACTIONS}


def actions_of(view: str) -> list[Action]:
    """The actions that work in a view, in their order."""
    return [action for action in ACTIONS if view in action.views]


def footer_of(view: str) -> list[Action]:
    """What the footer of a view shows, most useful first."""
    return sorted((action for action in actions_of(view) if action.footer), key=lambda action: action.footer)


KEY_NAMES = {
    "slash": "/",
    "question_mark": "?",
    "exclamation_mark": "!",
    "full_stop": ".",
    "comma": ",",
    "colon": ":",
    "asterisk": "*",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "escape": "Esc",
    "shift+tab": "⇧tab",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "ctrl+p": "^p",
    "ctrl+o": "^o",
    "f1": "F1",
}


def key_text(keys: str) -> str:
    """Keys as they are written: `up,k` becomes `↑ k`."""
    return " ".join(KEY_NAMES.get(key, key) for key in keys.split(","))
