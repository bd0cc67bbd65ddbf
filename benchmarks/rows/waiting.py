"""From sending to having the result."""

from __future__ import annotations

import time

from benchmarks.app import add
from benchmarks.harness.figures import percentile, rounded
from benchmarks.rows.model import Measured, Run

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
    finally:
        workers.stop()
    times.sort()
    return Measured(
        {"p50": percentile(times, 50), "p99": percentile(times, 99)},
        {
            "wrong": wrong,
            "min_ms": rounded(times[0]),
            "p90_ms": rounded(percentile(times, 90)),
            "max_ms": rounded(times[-1]),
        },
    )
