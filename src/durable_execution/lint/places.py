"""Where a finding is, as CI systems name files: findings and divergences share it."""

from pathlib import Path


def relative(file: str) -> str:
    """Return a path relative to the working directory, with forward slashes."""
    path = Path(file)
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()
