"""Prints the changelog of a version, for the release: `python .ci/release_notes.py --tag v0.1.0`.

Fails when the tag is not the version of `pyproject.toml`, or the changelog has no part for it.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def version() -> str:
    """The version of the package."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        found: str = tomllib.load(file)["project"]["version"]
    return found


def notes(changelog: str, wanted: str) -> str | None:
    """The part of the changelog for a version; None if it has none."""
    match = re.search(
        rf"^## (?:\[?|Unreleased: ){re.escape(wanted)}\b[^\n]*\n(?P<part>.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    return match["part"].strip() + "\n" if match else None


def main() -> int:
    """Print the notes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", required=True)
    tag = parser.parse_args().tag
    if tag != f"v{version()}":
        sys.stderr.write(f"the tag {tag} is not v{version()}, the version of pyproject.toml\n")
        return 1
    found = notes((REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), version())
    if found is None:
        sys.stderr.write(f"CHANGELOG.md has no part for {version()}\n")
        return 1
    sys.stdout.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
