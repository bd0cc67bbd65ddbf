"""What is not first in, first out: ten priorities, and messages that wait for their time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from benchmarks.app import add
from benchmarks.harness import stamps
from benchmarks.harness.figures import rounded
from benchmarks.harness.processes import Workers
from benchmarks.harness.resp import server_cpu_seconds
from benchmarks.rows.model import Measured, Run, wait_for_count

PRIORITIES = 10
PART = 10_000
MEGABYTE = 1_000_000
#: Until then what waits is not due: longer than any run.
FAR_S = 6 * 3600
WARM_UP = 2_000


def priorities(run: Run) -> Measured:
    """Queue n no-ops over ten priorities in turn, then start the workers: the rate from the first to the last."""
    share = run.n // PRIORITIES
    for start in range(0, share, PART // PRIORITIES):
        count = min(PART // PRIORITIES, share - start)
        for priority in range(PRIORITIES):
            add.starmap([(1, 2)] * count, priority=priority)
    workers = run.start_workers()
    try:
        wait_for_count(share * PRIORITIES, workers)
    finally:
        workers.stop()
    times = stamps.timeline()
    return Measured({"rate": (len(times) - 1) / (times[-1] - times[0])}, {"executed": len(times)})


def delayed(run: Run) -> Measured:
    """Send n no-ops for much later while workers run, then a tenth of that for one moment soon.

    Their time has come at once; the rate is that from the first to the last of those. Memory is what all processes of
    the worker have grown by while the n were sent, shared parts counted in parts.
    """
    workers = run.start_workers()
    try:
        add.starmap([(1, 2)] * WARM_UP)
        wait_for_count(WARM_UP, workers)
        time.sleep(run.options["settle_s"])
        before = _memory(workers)
        later = datetime.now(UTC) + timedelta(seconds=FAR_S)
        cpu, start = server_cpu_seconds(run.url), time.perf_counter()
        costs = []
        for at in range(0, run.n, PART):
            count, begun = min(PART, run.n - at), time.perf_counter()
            add.starmap([(1, 2)] * count, eta=later)
            costs.append((time.perf_counter() - begun) / count * 1e6)
        sent_s, cpu = time.perf_counter() - start, server_cpu_seconds(run.url) - cpu
        time.sleep(run.options["settle_s"])
        grown = _memory(workers) - before
        due = max(1, run.n // 10)
        soon = datetime.now(UTC) + timedelta(seconds=max(1.0, 3 * due * sent_s / run.n))
        for at in range(0, due, PART):
            add.starmap([(1, 2)] * min(PART, due - at), eta=soon)
        in_time = datetime.now(UTC) < soon
        cpu_due = server_cpu_seconds(run.url)
        wait_for_count(WARM_UP + due, workers)
        cpu_due = server_cpu_seconds(run.url) - cpu_due
    finally:
        workers.stop()
    times = stamps.timeline()[WARM_UP:]
    tenth = max(1, len(costs) // 10)
    return Measured(
        {
            "send": run.n / sent_s,
            "due": max(1, len(times) - 1) / max(1e-6, times[-1] - times[0]),
            "memory": max(0.001, grown / MEGABYTE),
        },
        {
            "due": due,
            "all_sent_before_due": in_time,
            "send_us_first": rounded(sum(costs[:tenth]) / tenth),
            "send_us_last": rounded(sum(costs[-tenth:]) / tenth),
            "server_cpu_us_send": rounded(cpu / run.n * 1e6),
            "server_cpu_us_due": rounded(cpu_due / due * 1e6),
        },
    )


def _memory(workers: Workers) -> float:
    return sum(size["pss"] for size in workers.memory())
