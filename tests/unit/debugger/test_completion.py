"""The completion scripts of shells, in the real shells."""

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from durable_debugger.cli import main
from durable_debugger.cli.entry import VERBS


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_every_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(verb in script for verb in VERBS)
    assert "--every-prefix" in script or "every-prefix" in script


COMPLETED = pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("durable-debug ch", "check"),
        ("durable-debug check --per", "--perturb"),
        ("durable-debug export x --to bu", "bundle"),
        ("durable-debug callback suc", "succeed"),
        ("durable-debug list --status SUC", "SUCCEEDED"),
    ],
)


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"needs {shell}")


@needs("bash")
@COMPLETED
def test_bash_completes(words: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    *before, _ = typed = words.split(" ")
    code = (
        f"source {script}; COMP_WORDS=({words}); COMP_CWORD={len(before)}; COMP_LINE='{words}'; COMP_POINT={len(words)}; "
        f"f=$(complete -p durable-debug | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f durable-debug {typed[-1]} {before[-1]}; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected]


@needs("fish")
@COMPLETED
def test_fish_completes(words: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "fish"])
    script = tmp_path / "completion.fish"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {script}; complete -C '{words}'"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [expected]


SHOW_THE_LINE = "show() { print -r -- \"<$BUFFER>\" }; zle -N show; bindkey '^T' show"
SECONDS = 30.0


@needs("zsh")
@COMPLETED
@pytest.mark.real_time
def test_zsh_completes(words: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "zsh"])
    (tmp_path / "_durable-debug").write_text(capsys.readouterr().out)
    (tmp_path / ".zshrc").write_text(
        f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; PROMPT='ready> '; {SHOW_THE_LINE}"
    )
    terminal, inner = pty.openpty()
    variables = {"ZDOTDIR": str(tmp_path), "TERM": "dumb", "PATH": os.environ["PATH"]}
    zsh = subprocess.Popen(
        ["zsh", "-d", "-i"], stdin=inner, stdout=inner, stderr=inner, env=variables, start_new_session=True
    )
    os.close(inner)
    try:
        _read_until(terminal, "ready> ")
        os.write(terminal, f"{words}\t\x14".encode())
        shown = _read_until(terminal, " >\r\n")
    finally:
        os.close(terminal)
        zsh.kill()
        zsh.wait()
    assert f"<{words.rpartition(' ')[0]} {expected} >" in shown


def _read_until(terminal: int, end: str) -> str:
    shown = ""
    while end not in shown:
        ready, _, _ = select.select([terminal], [], [], SECONDS)
        assert ready, f"{end!r} does not come after {shown!r}"
        shown += os.read(terminal, 4096).decode()
    return shown
