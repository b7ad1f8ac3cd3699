"""Builds the layer and the package for Lambda: `make layer` and `make package`, or `python examples/deploy/build.py --help`.

The layer holds the SDK and its dependencies; the package holds the handlers of `app/` as well. Both are written in two sizes:
with boto3, which is what production should run, and without, for the boto3 of the Lambda runtime.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
IN_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")
"""What the Python runtime of Lambda contains because of boto3."""
NOT_NEEDED = ("bin", "__pycache__", "durable_debugger")
MOMENT = (2020, 1, 1, 0, 0, 0)
"""Time of every file in an archive, so that the same files make the same archive."""


def install(target: Path, *, platform: str, python: str) -> None:
    """Install the SDK and its dependencies into a folder, for Lambda's platform."""
    shutil.rmtree(target, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--target",
        str(target),
    ]
    wheels = target.parent / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(wheels), str(REPOSITORY)], check=True)
    foreign = ["--platform", platform, "--python-version", python, "--only-binary=:all:"] if platform else []
    subprocess.run([*command, *foreign, *map(str, wheels.glob("*.whl"))], check=True)


def archive(folder: Path, file: Path, *, prefix: str = "", without: tuple[str, ...] = ()) -> int:
    """Write a folder as a zip archive. Returns the size of the files in bytes.

    Args:
        folder: The folder.
        file: The archive.
        prefix: Folder inside the archive.
        without: Names to leave out, at the top of the folder.
    """
    size = 0
    with ZipFile(file, "w", ZIP_DEFLATED) as zipped:
        for path in sorted(found for found in folder.rglob("*") if found.is_file()):
            parts = path.relative_to(folder).parts
            if parts[0] in without or set(parts) & set(NOT_NEEDED) or _is_metadata_of(parts[0], without):
                continue
            info = ZipInfo("/".join((prefix, *parts)) if prefix else "/".join(parts), MOMENT)
            info.external_attr = 0o644 << 16
            info.compress_type = ZIP_DEFLATED
            zipped.writestr(info, path.read_bytes())
            size += path.stat().st_size
    return size


def _is_metadata_of(name: str, packages: tuple[str, ...]) -> bool:
    package = name.partition("-")[0].removeprefix("python_")
    return name.endswith(".dist-info") and any(package == each.removesuffix(".py") for each in packages)


def main() -> None:
    """Build, and print the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("layer", "package"))
    parser.add_argument("--platform", default="manylinux_2_28_aarch64", help="wheel platform; empty for this computer")
    parser.add_argument("--python", default="3.13", help="version of Lambda's Python runtime (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build", help="folder to write (default: build)")
    arguments = parser.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    installed = output / "installed"
    install(installed, platform=arguments.platform, python=arguments.python)
    prefix, name = ("python", "layer") if arguments.what == "layer" else ("", "orders")
    if arguments.what == "package":
        for file in (HERE / "app").glob("*.py"):
            shutil.copy(file, installed)
    for suffix, without in (("", ()), ("-without-boto3", IN_THE_RUNTIME)):
        file = output / f"{name}{suffix}.zip"
        size = archive(installed, file, prefix=prefix, without=without)
        print(f"{file.name:<28} {file.stat().st_size / 1e6:6.1f} MB zipped, {size / 1e6:6.1f} MB unzipped")


if __name__ == "__main__":
    main()
