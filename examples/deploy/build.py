"""Builds the layer and the package for Lambda: `make layer` and `make package`, or `python examples/deploy/build.py --help`.

The layer holds the SDK and its dependencies; the package holds the handlers of `app/` as well. Both are written in two sizes:
with boto3, which is what production should run, and without, for the boto3 of the Lambda runtime.
"""

import argparse
import compileall
import shutil
import subprocess
import sys
from pathlib import Path
from py_compile import PycInvalidationMode
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
IN_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")
"""What the Python runtime of Lambda contains because of boto3."""
NOT_NEEDED = ("bin", "durable_debugger")
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Lambda's names of processors, and those of wheels."""
OLDEST_GLIBC, NEWEST_GLIBC = 17, 34
"""Versions 2.x of the C library that wheels may ask for. Amazon Linux 2023, below Python 3.12 and later, has 2.34."""
MOMENT = (2020, 1, 1, 0, 0, 0)
"""Time of every file in an archive, so that the same files make the same archive."""


def platforms(architecture: str) -> list[str]:
    """Every wheel platform that Lambda's runtime can load. pip takes only those that are named, not the older ones they include.

    Args:
        architecture: `arm64` or `x86_64`.
    """
    machine = ARCHITECTURES[architecture]
    versions = range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)
    return [*(f"manylinux_2_{version}_{machine}" for version in versions), f"manylinux2014_{machine}"]


def install(target: Path, *, architecture: str, python: str, otlp: bool = False) -> None:
    """Install the SDK and its dependencies into a folder, for Lambda's platform.

    Args:
        target: The folder. It is emptied first.
        architecture: `arm64`, `x86_64`, or `this` for this computer and its Python.
        python: Version of Lambda's Python runtime, such as `3.13`.
        otlp: Whether to install the exporters to Jaeger and other collectors.
    """
    shutil.rmtree(target, ignore_errors=True)
    wheels = target.parent / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(REPOSITORY)], check=True)
    sdk = [f"{wheel}[otlp]" if otlp else str(wheel) for wheel in wheels.glob("*.whl")]
    foreign = []
    if architecture != "this":
        foreign = ["--python-version", python, "--only-binary=:all:"]
        foreign += [f"--platform={platform}" for platform in platforms(architecture)]
    subprocess.run([*pip, "install", "--target", str(target), *foreign, *sdk], check=True)


def precompile(folder: Path, *, python: str) -> bool:
    """Compile the modules, so that a cold start does not: without `.pyc` files it takes 1.3 to 1.5 times as long.

    Only the runtime's own version of Python can do that. Returns whether it was done.
    """
    for cache in sorted(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        return False
    compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    return True


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
    parser.add_argument(
        "--architecture",
        choices=(*ARCHITECTURES, "this"),
        default="arm64",
        help="processor of the function; `this` builds for this computer (default: %(default)s)",
    )
    parser.add_argument("--python", default="3.13", help="version of Lambda's Python runtime (default: %(default)s)")
    parser.add_argument("--otlp", action="store_true", help="with the exporters to Jaeger and other collectors")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build", help="folder to write (default: build)")
    arguments = parser.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    installed = output / "installed"
    install(installed, architecture=arguments.architecture, python=arguments.python, otlp=arguments.otlp)
    prefix, name = ("python", "layer") if arguments.what == "layer" else ("", "orders")
    if arguments.what == "package":
        for file in (HERE / "app").glob("*.py"):
            shutil.copy(file, installed)
    compiled = precompile(installed, python=arguments.python)
    for suffix, without in (("", ()), ("-without-boto3", IN_THE_RUNTIME)):
        file = output / f"{name}{suffix}.zip"
        size = archive(installed, file, prefix=prefix, without=without)
        print(f"{file.name:<28} {file.stat().st_size / 1e6:6.1f} MB zipped, {size / 1e6:6.1f} MB unzipped")
    if not compiled:
        print(
            f"No .pyc files inside: run this with Python {arguments.python} to add them. A cold start is then faster."
        )


if __name__ == "__main__":
    main()
