"""Looks up known vulnerabilities of the installed packages: `python .ci/audit.py`, or `make audit`.

pip-audit asks PyPI's advisories, and OSV's if PyPI cannot be reached. Exit codes: 0 none known, 1 vulnerabilities, 2 not checked.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

SERVICES = ("pypi", "osv")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def audit(run: Run = subprocess.run) -> tuple[int, list[str]]:
    """Ask for the advisories of every package in this environment.

    Args:
        run: Starts pip-audit.

    Returns:
        The exit code, and the lines to print.
    """
    reasons: list[str] = []
    for service in SERVICES:
        command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
        command += ["--vulnerability-service", service, "--skip-editable", "--timeout", "20"]
        done = run(command, capture_output=True, text=True, check=False)
        try:
            found = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError, TypeError):
            reasons.append(f"  {service}: {(done.stderr.strip().splitlines() or ['no answer'])[-1][:200]}")
            continue
        checked = [package for package in found if "skip_reason" not in package]
        if not checked:
            reasons.append(f"  {service}: it does not know any of these packages")
            continue
        skipped = ", ".join(package["name"] for package in found if "skip_reason" in package)
        note = [f"Not checked, because {service} does not know them: {skipped}"] if skipped else []
        lines = list(_problems(checked))
        if lines:
            return 1, [*lines, "Upgrade these packages, and raise their lower bounds in pyproject.toml.", *note]
        return 0, [f"{len(checked)} packages checked with {service}: no known vulnerabilities", *note]
    return 2, ["Nothing was audited: no advisory data can be reached from here.", *reasons]


def _problems(dependencies: list[dict[str, Any]]) -> Iterator[str]:
    for package in dependencies:
        for problem in package.get("vulns", ()):
            fixed = ", ".join(problem.get("fix_versions", ())) or "no version yet"
            yield f"{package['name']} {package.get('version')}: {problem['id']}, fixed in {fixed}"


if __name__ == "__main__":
    code, text = audit()
    print(*text, sep="\n", file=sys.stderr if code else sys.stdout)
    sys.exit(code)
