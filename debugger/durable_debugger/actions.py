"""Every action of the app, defined once. Keys, footer, help and command palette are generated from this list.

An action belongs to one or more views; within a view each key has one meaning. The id of an action is its name in a user's
key map.
"""

from dataclasses import dataclass

ALL = frozenset({"tree", "timeline", "step", "diff", "events"})
TREES = frozenset({"tree", "timeline", "step"})
SEARCHABLE = ALL - {"step"}
TIMELINE = frozenset({"timeline"})
STEPPING = frozenset({"step"})


@dataclass(frozen=True, slots=True)
class Action:
    """An action a user can perform.

    Attributes:
        id: Name in key maps and in code.
        keys: Keys, comma separated, as Textual names them.
        label: One or two words for footer and palette.
        help: A sentence for the help screen.
        views: Views that offer it.
        footer: Rank in the footer, lowest first; 0 leaves it out.
        shown_key: The key as shown; empty shows the first key.
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
    Action("view_step", "3", "Step", "Show the step view: how the code reached this point.", group=LOOK),
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
    Action("fold", "left,h", "Fold", "Fold the row, or go to its parent.", frozenset({"tree"}), group=MOVE),
    Action("unfold", "right,l", "Unfold", "Unfold the row, or go to its first call.", frozenset({"tree"}), group=MOVE),
    Action("toggle_fold", "space", "Fold", "Fold or unfold the row, or a variable.", TREES, group=MOVE),
    Action(
        "unfold_chain", "asterisk", "Unfold chain", "Unfold the row and its only child, repeatedly.", TREES, group=MOVE
    ),
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
    Action("copy", "y", "Copy", "Copy facts about the selected call.", footer=10, group=LOOK),
    Action("follow", "f", "Follow", "Follow a running execution.", footer=8, group=LOOK),
    Action("edit", "e", "Editor", "Open the code of the call in $EDITOR.", footer=9, group=LOOK),
    Action(
        "fork_here",
        "F",
        "Fork",
        "Fork the execution at the selected call, with a different outcome.",
        TREES,
        group=LOOK,
    ),
    Action("maximise", "z", "Maximise", "Maximise the focused pane.", group=LOOK),
    Action(
        "breakpoint",
        "b",
        "Break",
        "Toggle a breakpoint on this line, or on calls with this name.",
        TREES,
        7,
        group=STEP,
    ),
    Action(
        "breakpoint_settings",
        "B",
        "Condition",
        "Stop at this line only under a condition, or log an expression there.",
        STEPPING,
        group=STEP,
    ),
    Action("watch", "w", "Watch", "Show the value of an expression at every line.", STEPPING, 5, group=STEP),
    Action("evaluate", "colon", "Evaluate", "Evaluate an expression here, once.", STEPPING, 5, group=STEP),
    Action("step_over", "n", "Over", "Go to the next line or call of this function.", STEPPING, 1, group=STEP),
    Action("step_into", "s", "Into", "Go to the next line or call, however deep.", STEPPING, 1, group=STEP),
    Action("step_out", "r", "Out", "Go to the end of the enclosing context.", STEPPING, 1, group=STEP),
    Action(
        "step_to_stop",
        "c",
        "To stop",
        "Go to the next divergence, breakpoint or failure.",
        STEPPING,
        1,
        group=STEP,
    ),
    Action("back_over", "N", "Back over", "Go to the previous call that is not deeper.", STEPPING, 2, group=STEP),
    Action("back_into", "S", "Back into", "Go to the previous call, however deep.", STEPPING, group=STEP),
    Action("back_out", "R", "Back out", "Go to the call of the enclosing context.", STEPPING, group=STEP),
    Action(
        "back_to_stop",
        "C",
        "Back to stop",
        "Go to the previous divergence, breakpoint or failure.",
        STEPPING,
        group=STEP,
    ),
    Action("next_moment", "right,l", "One moment on", "Go to the next moment.", STEPPING, group=STEP),
    Action("previous_moment", "left,h", "One moment back", "Go to the previous moment.", STEPPING, group=STEP),
    Action(
        "go_to",
        "g",
        "Go to",
        "Go to a call number, an invocation (i2) or a time (41.2s).",
        STEPPING,
        3,
        group=STEP,
    ),
    Action(
        "tree_or_source",
        "O",
        "Tree/source",
        "Switch between tree and source in a narrow window.",
        STEPPING,
        4,
        group=STEP,
    ),
    Action("diff_here", "d", "Replay", "Replay with today's code and compare.", ALL, 2, group=COMPARE),
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
    Action(
        "values", "v", "Values", "Switch between recorded results and remarks.", frozenset({"diff"}), 1, group=COMPARE
    ),
    Action(
        "run_to",
        "t",
        "Run to",
        "Go to the chosen line, or to the next call of the selected operation.",
        STEPPING,
        group=STEP,
    ),
    Action("run_back_to", "T", "Back to line", "Go back to the chosen line.", STEPPING, group=STEP),
    Action("jump_to_pane", "ctrl+o", "Jump to pane", "Focus a pane by the first letters of its name.", group=MOVE),
    Action("zoom_in", "plus,equals_sign", "Zoom in", "Widen the time axis.", TIMELINE, 1, shown_key="+", group=TIME),
    Action("zoom_out", "minus", "Zoom out", "Narrow the time axis.", TIMELINE, 1, shown_key="-", group=TIME),
    Action("zoom_fit", "0", "Fit", "Show the whole execution.", TIMELINE, 1, group=TIME),
    Action("pan_left", "left,h", "Earlier", "Move to earlier times.", TIMELINE, group=TIME),
    Action("pan_right", "right,l", "Later", "Move to later times.", TIMELINE, group=TIME),
    Action("fold_idle", "x", "Fold idle", "Switch between folded idle time and true scale.", TIMELINE, 1, group=TIME),
    Action(
        "critical",
        "P",
        "Critical path",
        "Mark the calls that determine the duration.",
        TIMELINE,
        2,
        group=TIME,
    ),
    Action("open_other", "o", "Open", "Open a different execution.", footer=11),
    Action("open_invoked", "enter", "Invoked", "Open the execution that the selected invoke started.", SEARCHABLE),
    Action("act", "a", "Act", "Answer a callback, or pause, resume or stop the execution, after a question."),
    Action("commands", "ctrl+p", "Commands", "Find any action by name."),
    Action("find_command", "colon", "Commands", "Find any action by name.", SEARCHABLE),
    Action("help", "question_mark,f1", "Help", "Show the keys of this view.", shown_key="?"),
    Action("back", "escape", "Back", "Close the open window, end the search, or return to the previous view."),
    Action("quit", "q", "Quit", "Leave the debugger."),
)

BY_ID = {action.id: action for action in ACTIONS}


def actions_of(view: str) -> list[Action]:
    """Return the actions of a view in order."""
    return [action for action in ACTIONS if view in action.views]


def footer_of(view: str) -> list[Action]:
    """Return the actions in the footer of a view, most useful first."""
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
    """Format keys: `up,k` becomes `↑ k`."""
    return " ".join(KEY_NAMES.get(key, key) for key in keys.split(","))
