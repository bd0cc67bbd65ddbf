"""What a process uses: processor, memory, files."""

from __future__ import annotations

import resource
from collections.abc import Iterable

from taskmesh.metrics.exposition import Samples

#: Memory is read of so many processes at most.
PROCESSES_MAX = 256


def put_process(into: Samples) -> None:
    """Add what this process uses."""
    import psutil

    process = psutil.Process()
    memory = process.memory_info()
    times = process.cpu_times()
    into.put("process_cpu_seconds_total", times.user + times.system)
    into.put("process_resident_memory_bytes", memory.rss)
    into.put("process_virtual_memory_bytes", memory.vms)
    into.put("process_start_time_seconds", process.create_time())
    into.put("process_open_fds", process.num_fds())
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY:
        into.put("process_max_fds", limit)


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of some processes together; those that have ended have none."""
    import psutil

    total = 0
    for pid in list(pids)[:PROCESSES_MAX]:
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.Error:
            continue
    return total


def stands_still(pid: int) -> bool:
    """Tell whether a process was stopped by a signal (SIGSTOP, Ctrl-Z, a debugger)."""
    import psutil

    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.Error:
        return False
