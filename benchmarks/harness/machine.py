"""The machine: what it is, and whether others are using it."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from pathlib import Path

from benchmarks.harness.processes import TICK_S

#: While others use more than so many cores, a measurement is disturbed.
NOISY_CORES = 0.2


class Watch:
    """How many cores others have kept busy since this object was made."""

    def __init__(self) -> None:
        self._start = time.monotonic(), _busy_s(), _own_s()

    def foreign(self) -> float:
        """Return the mean number of cores that were busy with other things."""
        since, busy, own = self._start
        wall = max(time.monotonic() - since, 1e-9)
        return max(0.0, (_busy_s() - busy - (_own_s() - own)) / wall)


def _busy_s() -> float:
    with Path("/proc/stat").open() as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK_S


def _own_s() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def wait_until_quiet(patience_s: float) -> None:
    """Wait until others use less than `NOISY_CORES`, but no longer than `patience_s`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        watch = Watch()
        time.sleep(0.5)
        if watch.foreign() < NOISY_CORES:
            return


def describe() -> dict[str, str | int]:
    """Return what a reader must know of the machine to judge the figures."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)),
        "system": _system(),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
    }


def filesystem_of(folder: Path) -> str:
    """Return the kind of file system that a folder is on; what is forced to disk there depends on it."""
    best, kind = "", "?"
    path = str(folder.resolve())
    for line in Path("/proc/mounts").read_text().splitlines():
        point, name = line.split()[1:3]
        if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, kind = point, name
    return kind


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
