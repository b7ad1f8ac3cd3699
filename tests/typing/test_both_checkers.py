"""A user's module passes both checkers in their strict modes, without stub packages; so does the documentation's code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import pages, program, title

MODULE = Path(__file__).parent / "right" / "user_module.py"
WITHOUT_PACKAGES = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")

# What a page may do that a module may not: it defines a handler again, and leaves out the members of `dict`.
PAGE = ["--strict", "--allow-any-generics", "--allow-untyped-defs", "--allow-incomplete-defs", "--allow-untyped-calls"]
EXCUSED = ("no-redef", "unused-awaitable", "misc", "import-untyped", "no-any-return")


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_pyright_strict_passes_on_a_user_s_module_without_stub_packages(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "shop.py").write_text(MODULE.read_text(encoding="utf-8"))
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(repository / "src")], "pythonVersion": "3.11"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({**settings, "include": ["shop.py"]}))
    out = run(sys.executable, "-m", "pyright", "--pythonpath", WITHOUT_PACKAGES, "-p", str(tmp_path), cwd=tmp_path)
    assert "0 errors" in out, out


@pytest.mark.timeout(300)
def test_mypy_strict_passes_on_a_user_s_module(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "shop.py").write_text(MODULE.read_text(encoding="utf-8"))
    cache = str(repository / ".mypy_cache" / "users")
    out = run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, "shop.py", cwd=tmp_path)
    assert "Success" in out, out


@pytest.mark.timeout(300)
def test_mypy_passes_on_the_documentation_s_code(tmp_path: Path, repository: Path) -> None:
    names: dict[str, str] = {}
    for page in pages():
        text = program(page)
        if text.strip():
            name = "page_" + title(page).removesuffix(".md").replace("/", "_").replace("-", "_")
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
            names[f"{name}.py"] = title(page)
    excused = [f"--disable-error-code={code}" for code in EXCUSED]
    cache = str(repository / ".mypy_cache" / "pages")
    out = run(sys.executable, "-m", "mypy", *PAGE, *excused, "--cache-dir", cache, *names, cwd=tmp_path)
    problems = [line for line in out.splitlines() if ": error:" in line]
    for file, page_title in names.items():
        problems = [line.replace(file, page_title) for line in problems]
    assert not problems, "\n".join(problems)
