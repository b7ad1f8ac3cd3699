"""The completion scripts of shells, in a real bash."""

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


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("durable-debug ch", "check"),
        ("durable-debug check --per", "--perturb"),
        ("durable-debug export x --to bu", "bundle"),
        ("durable-debug callback suc", "succeed"),
        ("durable-debug list --status SUC", "SUCCEEDED"),
    ],
)
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
