"""The process that replays a recording under a perturbation; see `durable_execution.replayer.perturbation`.

Reads a request from stdin and writes an answer to stdout, both JSON. The perturbation is applied before the handler, or
any other module of this package, is imported.
"""

import datetime as dt
import json
import os
import random
import sys
import time
from typing import Any


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    sys.path[:] = request["path"]
    shift_clock(request["clock_offset"])
    seed_random(request["random_seed"])
    stdout, sys.stdout = sys.stdout, sys.stderr  # output of the handler's module must not mix with the answer
    answer = _replay(request)
    print(json.dumps(answer, default=str), file=stdout)  # the answer


def shift_clock(seconds: int) -> None:
    """Move the clock forward for every module imported from now on."""
    if not seconds:
        return
    real_time, real_time_ns, offset = time.time, time.time_ns, dt.timedelta(seconds=seconds)
    real_datetime: Any = dt.datetime
    real_date: Any = dt.date

    class Kind(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, cls.__mro__[1])

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, cls.__mro__[1])

    class ShiftedDatetime(real_datetime, metaclass=Kind):  # type: ignore[misc]  # the original class
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return real_datetime.now(tz) + offset

        @classmethod
        def utcnow(cls) -> Any:
            return real_datetime.now(dt.UTC).replace(tzinfo=None) + offset

        @classmethod
        def today(cls) -> Any:
            return real_datetime.now() + offset  # as datetime.today

    class ShiftedDate(real_date, metaclass=Kind):  # type: ignore[misc]  # the original class
        @classmethod
        def today(cls) -> Any:
            return (real_datetime.now() + offset).date()  # as date.today

    module: Any = dt
    module.datetime, module.date = ShiftedDatetime, ShiftedDate
    time.time = lambda: real_time() + seconds
    time.time_ns = lambda: real_time_ns() + seconds * 1_000_000_000


def seed_random(seed: int) -> None:
    """Make random numbers the same in every run with the same seed."""
    source = random.Random(seed)
    random.seed(seed)
    os.urandom = source.randbytes


def _replay(request: dict[str, Any]) -> dict[str, Any]:
    from durable_execution.replay.history import read_history
    from durable_execution.replayer.loading import load_handler
    from durable_execution.replayer.ordering import conflict_in_order
    from durable_execution.replayer.replayer import Replayer
    from durable_execution.replayer.run import UnusableHandlerError

    execution = read_history(request["events"], arn=request["arn"])
    try:
        handler = load_handler(request["handler"])
    except UnusableHandlerError as error:
        return {"unusable": str(error)}
    report = Replayer(handler, seconds=request["seconds"], inside=False).replay(execution)
    wire = report.to_wire()
    calls = [row.replayed.side for row in report.rows if row.replayed is not None]
    answer = {
        "calls": [f"{side.path} ({side.label})" for side in calls],
        "outcome": report.outcome,
        "divergences": wire["divergences"],
        "suspects": wire["suspects"],
    }
    if request["order_seed"] is not None:
        seed, seconds = request["order_seed"], request["seconds"]
        answer["conflict"] = conflict_in_order(handler, execution, seed=seed, seconds=seconds)
    return answer


if __name__ == "__main__":
    main()
