"""From sending to having the result."""

from __future__ import annotations

import time

from benchmarks.app import add, mesh
from benchmarks.harness.figures import percentile, rounded
from benchmarks.rows.model import Measured, Run
from taskmesh.replication.ask import plain

WARM_UP = 500


def end_to_end(run: Run) -> Measured:
    """Workers run: from the first send of a `starmap` until all results have been read."""
    workers = run.start_workers()
    try:
        add.starmap([(1, 2)] * WARM_UP).get(timeout=60)
        start = time.perf_counter()
        results = add.starmap([(1, 2)] * run.n)
        sent = time.perf_counter()
        values = results.get(timeout=300)
        end = time.perf_counter()
    finally:
        workers.stop()
    return Measured(
        {"rate": run.n / (end - start)},
        {
            "wrong": sum(value != 3 for value in values),
            "sent_after_s": rounded(sent - start),
            "seconds": rounded(end - start),
        },
    )


def latency(run: Run) -> Measured:
    """Workers run and are idle: `delay`, then `get`, one at a time."""
    workers = run.start_workers()
    wrong = 0
    times = []
    try:
        add.starmap([(1, 2)] * WARM_UP).get(timeout=60)
        for _ in range(100):
            add.delay(1, 2).get(timeout=60)
        for _ in range(run.n):
            start = time.perf_counter()
            value = add.delay(1, 2).get(timeout=60)
            times.append((time.perf_counter() - start) * 1000)
            wrong += value != 3
        pings = [_ping_ms() for _ in range(run.n)]
    finally:
        workers.stop()
    times.sort()
    pings.sort()
    return Measured(
        {"p50": percentile(times, 50), "p99": percentile(times, 99)},
        {
            "wrong": wrong,
            "ping_p50_ms": rounded(percentile(pings, 50)),  # what one bare round trip costs at this moment
            "min_ms": rounded(times[0]),
            "p90_ms": rounded(percentile(times, 90)),
            "max_ms": rounded(times[-1]),
        },
    )


def _ping_ms() -> float:
    link = mesh.link
    start = time.perf_counter()
    link.driver.run(plain(link.session, b"PING"))
    return (time.perf_counter() - start) * 1000
