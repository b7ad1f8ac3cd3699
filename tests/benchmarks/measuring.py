"""Measures one call: processor time, wall time, memory and threads of this process."""

import gc
import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Self

KIB = 1024
MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else KIB


@dataclass(frozen=True, slots=True)
class Sample:
    """What one call cost.

    Attributes:
        cpu_seconds: Processor time of all threads.
        wall_seconds: Elapsed time.
        memory_mib: Growth of the process's peak resident memory.
        threads: Most threads alive at once.
    """

    cpu_seconds: float
    wall_seconds: float
    memory_mib: float
    threads: int


class ThreadCensus:
    """Counts threads now and then while a workload runs; sampled, since asking at each step would be measured too."""

    def __init__(self) -> None:
        self.most = threading.active_count()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.most = max(self.most, threading.active_count() - 1)


def peak_bytes() -> int:
    """The largest resident size this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT_BYTES


def measure(work: Callable[[], Any]) -> Sample:
    """Run once and say what it cost."""
    gc.collect()
    before = peak_bytes()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Sample(cpu, wall, (peak_bytes() - before) / KIB / KIB, threading.active_count())


def measure_with_threads(work: Callable[[], Any]) -> Sample:
    """Like `measure`, watching the number of threads meanwhile."""
    with ThreadCensus() as census:
        sample = measure(work)
    return Sample(sample.cpu_seconds, sample.wall_seconds, sample.memory_mib, census.most)


def medians(samples: list[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(
        median(s.cpu_seconds for s in samples),
        median(s.wall_seconds for s in samples),
        median(s.memory_mib for s in samples),
        round(median(s.threads for s in samples)),
    )


def to_json(sample: Sample) -> str:
    """One line, for the process that asked."""
    return json.dumps(asdict(sample))
