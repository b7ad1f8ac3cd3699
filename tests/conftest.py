"""What every test shares: how hard Hypothesis tries, and where to find recordings made elsewhere."""

import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.warm_interpreters import WarmInterpreters, warm

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent
ACCEPTANCE_FOLDERS = {"campaigns", "interop", "typing"}
"""Folders in which every test is an acceptance test; others are marked one by one."""

# Machines differ in speed and CI machines are shared: an example is bounded by the test's timeout, not by a deadline.
# The same examples in every run, so that a red build is about the change; HYPOTHESIS_PROFILE=thorough looks for new ones.
settings.register_profile(
    "default", deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), derandomize=False, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure() -> None:
    """Let Ctrl-C reach the children of tests.

    A shell starts background jobs with SIGINT ignored, and a child inherits that across exec; a handler it does not.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from what collection makes: it lasts, and looking through it takes a quarter of all time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000)  # screens are many objects, and few of them are garbage
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A directory for what commands keep between two looks, instead of the user's."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def warm_interpreters() -> Iterator[None]:
    """Replay processes are forks of an interpreter that has imported the package, but for tests marked `new_interpreter`."""
    with warm():
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say how the processes of the test and of its fixtures are started."""
    WarmInterpreters.is_on = item.get_closest_marker("new_interpreter") is None


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the work tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recordings and requirements kept beside the repository; tests that need them are skipped where there are none."""
    place = Path(os.environ.get("DURABLE_SHARED_DATA", REPOSITORY.parent / "shared"))
    if not place.is_dir():
        pytest.skip(f"no shared recordings at {place}; DURABLE_SHARED_DATA says where they are")
    return place


@pytest.fixture(scope="session")
def shared_histories(shared_data: Path) -> Path:
    """Histories recorded with other SDKs, as the API returns them."""
    return _folder(shared_data, "histories")


@pytest.fixture(scope="session")
def shared_conformance(shared_data: Path) -> Path:
    """Requirement files: what the service and the SDK owe each other, case by case."""
    return _folder(shared_data, "conformance")


def _folder(shared_data: Path, name: str) -> Path:
    folder = shared_data / name
    if not folder.is_dir():
        pytest.skip(f"no {name} in {shared_data}")
    return folder


def pytest_xdist_auto_num_workers() -> int:
    """Two workers more than cores: tests wait for processes and sockets, and each worker collects every test."""
    return 2 + (os.cpu_count() or 1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import nothing of folders from which no test is run: that would be a fifth of the time that collection takes."""
    is_left_out = config.getoption("markexpr") == "not acceptance" and collection_path.parent == TESTS
    return True if is_left_out and collection_path.name in ACCEPTANCE_FOLDERS else None


@pytest.hookimpl(tryfirst=True)  # before `-m` selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of whole folders, and refuse ids that hold an address: parallel workers must collect the same ids."""
    for item in items:
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in ACCEPTANCE_FOLDERS:
            item.add_marker(pytest.mark.acceptance)
    bad = sorted({item.nodeid for item in items if " at 0x" in item.nodeid})
    if bad:
        raise pytest.UsageError("test ids differ from process to process, give them ids=:\n" + "\n".join(bad))
