"""How fast workers empty a queue, and whether its length matters."""

from __future__ import annotations

import gc
import time

from benchmarks.app import add, folder, gate, mesh
from benchmarks.harness import stamps
from benchmarks.harness.figures import rounded
from benchmarks.harness.resp import server_cpu_seconds
from benchmarks.rows.model import Measured, Run, wait_for_count

#: How many results of a drain are read back and checked.
CHECKED = 50
#: After a pause children claim carefully; so many tasks later they are at full speed.
WARM_UP = 1000


def drain(run: Run) -> Measured:
    """Queue n no-ops, then start the workers: the rate from the first execution to the last."""
    results = add.starmap([(1, 2)] * run.n)
    workers = run.start_workers()
    try:
        wait_for_count(1, workers)
        before = workers.cpu_seconds(), server_cpu_seconds(run.url), stamps.count()
        wait_for_count(run.n, workers)
        after = workers.cpu_seconds(), server_cpu_seconds(run.url), stamps.count()
        sample = results.results[:: max(1, run.n // CHECKED)]
        wrong = sum(result.get(timeout=30) != 3 for result in sample)
    finally:
        workers.stop()
    times = stamps.timeline()
    done = max(1, after[2] - before[2])
    low, high = len(times) // 10, len(times) * 9 // 10
    return Measured(
        {"rate": (len(times) - 1) / (times[-1] - times[0])},
        {
            "executed": len(times),
            "wrong": wrong,
            "steady_rate": rounded((high - low) / (times[high] - times[low])),
            "worker_cpu_us": rounded((after[0] - before[0]) / done * 1e6),
            "server_cpu_us": rounded((after[1] - before[1]) / done * 1e6),
            "start_s": rounded(times[0] - workers.started),
        },
    )


def growth(run: Run) -> Measured:
    """Cost of sending and of running a task while few and while many others wait.

    The workers stay up. Each child is kept busy by a gate while the queue is filled; then the gates open. The time
    per task leaves out the start, when children claim carefully, and the last tenth, when one of them is done.
    """
    few, many = run.options["few"], run.n
    times_few = run.options["times_few"]
    workers = run.start_workers()
    try:
        for at in range(2):  # the first round warms everything up
            _behind_gates(f"warm-{at}", few, workers, run)
        at_few = [_behind_gates(f"few-{at}", few, workers, run)["run_us"] for at in range(times_few)]
        found = _behind_gates("many", many, workers, run)
    finally:
        workers.stop()
    at_few.sort()
    run_few = at_few[len(at_few) // 2]
    return Measured(
        {"run": found["run_us"] / run_few, "send": found["send_last_us"] / found["send_first_us"]},
        {
            "few": few,
            "many": many,
            "run_us_few": rounded(run_few),
            "run_us_many": rounded(found["run_us"]),
            "send_us_first": rounded(found["send_first_us"]),
            "send_us_last": rounded(found["send_last_us"]),
            "server_cpu_us_many": rounded(found["server_cpu_us"]),
        },
    )


def _behind_gates(name: str, n: int, workers: object, run: Run) -> dict[str, float]:
    from benchmarks.harness.processes import Workers

    assert isinstance(workers, Workers)
    stamps.clear()
    gates = [gate.delay(name) for _ in range(run.workers)]
    wait_for_count(len(gates), workers)
    costs = _send(n + WARM_UP)
    cpu = server_cpu_seconds(run.url)
    (folder() / name).touch()
    wait_for_count(len(gates) + n + WARM_UP, workers)
    cpu = server_cpu_seconds(run.url) - cpu
    times = stamps.timeline()[len(gates) + WARM_UP :]
    last = len(times) * 9 // 10
    tenth = max(1, len(costs) // 10)
    return {
        "run_us": (times[last] - times[0]) / last * 1e6,
        "server_cpu_us": cpu / (n + WARM_UP) * 1e6,
        "send_first_us": sum(costs[:tenth]) / tenth,
        "send_last_us": sum(costs[-tenth:]) / tenth,
    }


def _send(n: int, part: int = 2000) -> list[float]:
    """Send n no-ops without keeping their handles, and return the microseconds per task of each part."""
    costs = []
    # cycles of dropped handles are not what grows here
    gc.collect()
    while n > 0:
        size = min(part, n)
        start = time.perf_counter()
        add.starmap([(1, 2)] * size)
        costs.append((time.perf_counter() - start) / size * 1e6)
        n -= size
    return costs


def starmap(run: Run) -> Measured:
    """Send n no-ops with one call; nobody runs them."""
    calls = [(1, 2)] * run.n
    mesh.link.open()
    add.starmap(calls[:1000])
    before = server_cpu_seconds(run.url)
    cpu, start = time.process_time(), time.perf_counter()
    add.starmap(calls)
    taken_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    return Measured(
        {"rate": run.n / taken_s},
        {
            "client_cpu_us": rounded(cpu_s / run.n * 1e6),
            "server_cpu_us": rounded((server_cpu_seconds(run.url) - before) / run.n * 1e6),
        },
    )
