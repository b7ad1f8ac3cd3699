"""Actions and the settings that change their keys."""

import gc
from argparse import Namespace
from itertools import combinations
from pathlib import Path

import pytest

from durable_debugger.actions import ACTIONS, ALL, BY_ID, actions_of, footer_of, key_text
from durable_debugger.app import DebuggerApp
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.launching import config_path, launch, read_preferences
from durable_debugger.screens.dialogs import help_lines
from durable_debugger.screens.handlers import HANDLERS, load_handlers
from durable_debugger.text.segments import line_width, plain


@pytest.mark.parametrize("view", sorted(ALL))
def test_no_key_means_two_things_in_a_view(view: str) -> None:
    for one, other in combinations(actions_of(view), 2):
        assert not set(one.keys.split(",")) & set(other.keys.split(",")), f"{one.id} and {other.id}"


def test_every_action_does_something_and_nothing_else_does() -> None:
    load_handlers()
    assert set(HANDLERS) == set(BY_ID)
    assert len(BY_ID) == len(ACTIONS)


@pytest.mark.parametrize("view", sorted(ALL))
def test_help_lists_exactly_the_actions_of_a_view(view: str) -> None:
    told = [plain(line) for line in help_lines(view, {})]
    labels = [line[10:30].strip() for line in told if line.startswith("  ")]
    assert sorted(labels) == sorted(action.label for action in actions_of(view))
    assert all(action in actions_of(view) for action in footer_of(view))


@pytest.mark.parametrize("view", sorted(ALL))
def test_help_is_whole_in_a_window_of_80_columns(view: str) -> None:
    """A description goes on in the next line: it is not cut while there is room below."""
    lines = help_lines(view, {}, cells=69)
    assert max(map(line_width, lines)) <= 69
    told = " ".join(plain(line).strip() for line in lines)
    assert all(action.help in told for action in actions_of(view))


def test_keys_are_written_as_on_a_keyboard() -> None:
    assert key_text("up,k") == "↑ k"
    assert key_text("slash") == "/"


def test_settings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('theme = "nord"\nascii = true\n[keymap]\nstep_over = "f10"\n')
    found = read_preferences(path)
    assert (found.theme, found.is_ascii, found.keymap) == ("nord", True, {"step_over": "f10"})
    assert read_preferences(tmp_path / "none.toml").keymap == {}


def test_settings_live_in_the_configuration_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_path() == tmp_path / "durable-debug" / "config.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("theme = ", "cannot read"),
        ("colour = 1", "unknown setting 'colour'"),
        ('[keymap]\nstep_ovr = "f10"', "did you mean step_over"),
        ("[keymap]\nstep_over = 10", "must be a string"),
        ("keymap = 3", "must be a table"),
    ],
)
def test_settings_that_mean_nothing_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(CommandError, match=said):
        read_preferences(path)


def test_the_garbage_collector_rests_until_the_first_paint(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def run(app: DebuggerApp) -> None:
        seen.append(gc.isenabled())
        assert app.painted is not None
        app.painted()
        seen.append(gc.isenabled())

    monkeypatch.setattr(DebuggerApp, "run", run)
    assert launch(Namespace(theme=None, ascii=False, show_secrets=False)) == Exit.OK
    assert seen == [False, True]


def test_the_garbage_collector_works_again_after_a_start_that_failed() -> None:
    with pytest.raises(CommandError, match="unknown theme"):
        launch(Namespace(theme="no-such-theme", ascii=False, show_secrets=False))
    assert gc.isenabled()
