"""Lists the calls whose value or effect differs on every replay."""

from collections.abc import Iterator

EXACT: dict[str, str] = {
    **dict.fromkeys(
        ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
         "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
         "time.localtime", "time.gmtime", "time.ctime", "time.strftime", "time.process_time", "pendulum.now", "arrow.now",
         "arrow.utcnow"),
        "DUR101",
    ),
    **dict.fromkeys(("os.urandom", "os.getrandom"), "DUR102"),
    **dict.fromkeys(("uuid.uuid1", "uuid.uuid4", "uuid.uuid7"), "DUR103"),
    **dict.fromkeys(("time.sleep", "asyncio.sleep"), "DUR107"),
    **dict.fromkeys(
        ("threading.Thread", "threading.Timer", "multiprocessing.Process", "subprocess.run", "subprocess.Popen",
         "subprocess.call", "subprocess.check_call", "subprocess.check_output", "os.system", "os.fork", "os.getpid",
         "concurrent.futures.ThreadPoolExecutor", "concurrent.futures.ProcessPoolExecutor", "asyncio.to_thread",
         "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "_thread.start_new_thread"),
        "DUR108",
    ),
    **dict.fromkeys(
        ("open", "io.open", "os.listdir", "os.scandir", "os.walk", "os.stat", "os.path.exists", "os.path.getmtime",
         "os.path.getsize", "os.remove", "os.rename", "os.mkdir", "os.makedirs", "glob.glob", "glob.iglob", "shutil.copy",
         "shutil.move", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp", "tempfile.NamedTemporaryFile",
         "sqlite3.connect"),
        "DUR106",
    ),
    **dict.fromkeys(("asyncio.as_completed", "concurrent.futures.as_completed"), "DUR110"),
}  # fmt: skip

PREFIXES: dict[str, str] = {
    "random.": "DUR102",
    "secrets.": "DUR102",
    "numpy.random.": "DUR102",
    "requests.": "DUR105",
    "httpx.": "DUR105",
    "urllib.request.": "DUR105",
    "urllib3.": "DUR105",
    "aiohttp.": "DUR105",
    "socket.": "DUR105",
    "smtplib.": "DUR105",
    "ftplib.": "DUR105",
    "http.client.": "DUR105",
    "aws_lambda_powertools.utilities.parameters.": "DUR105",
}
HARMLESS = frozenset(
    {
        "random.Random", "random.seed", "secrets.compare_digest", "requests.Session", "httpx.Client", "httpx.AsyncClient",
        "aiohttp.ClientSession", "httpx.Timeout", "requests.Request", "numpy.random.default_rng", "socket.inet_aton",
        "urllib.request.Request", "random.SystemRandom",
    }
)  # fmt: skip
"""Names from the same modules that are deterministic or have no effect of their own."""

METHODS: dict[str, str] = {
    "read_text": "DUR106",
    "read_bytes": "DUR106",
    "write_text": "DUR106",
    "write_bytes": "DUR106",
}
"""Methods that only path objects have."""

ENVIRONMENT = ("os.environ", "os.getenv", "os.environb")
LOGGING = ("print", "logging.", "warnings.warn")


def rule_for_call(name: str | None, method: str | None) -> str | None:
    """Return the rule that a call breaks; None if it breaks none.

    Args:
        name: Dotted name of the called function, if known.
        method: Name of the called method, if any.
    """
    if name is not None:
        if name in HARMLESS:
            return None
        if name in EXACT:
            return EXACT[name]
        found = next((rule for prefix, rule in PREFIXES.items() if name.startswith(prefix)), None)
        if found is not None and name.rpartition(".")[2][:1].islower():
            return found
    return METHODS.get(method or "")


def is_environment(name: str | None) -> bool:
    """Whether a dotted name reads the environment."""
    return name is not None and any(name == known or name.startswith(f"{known}.") for known in ENVIRONMENT)


def is_logging(name: str | None) -> bool:
    """Whether a dotted name is a function that only writes its arguments to a log."""
    return name is not None and (
        any(name == known or (known.endswith(".") and name.startswith(known)) for known in LOGGING)
        or any(part in ("logger", "log", "LOGGER", "_logger") for part in name.split(".")[:-1])
    )


def all_codes() -> Iterator[str]:
    """Yield the code of every rule that a call can break."""
    yield from sorted({*EXACT.values(), *PREFIXES.values(), *METHODS.values()})
