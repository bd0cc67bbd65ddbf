"""Pools of threads and of coroutines, and messages that are tried again."""

from __future__ import annotations

import time

from benchmarks.app import add, add_async, again, nap_async
from benchmarks.harness import stamps
from benchmarks.harness.figures import rounded
from benchmarks.harness.processes import MIB, memory
from benchmarks.harness.resp import server_cpu_seconds
from benchmarks.rows.model import Measured, Run, wait_for_count


def pool_drain(run: Run) -> Measured:
    """Queue n no-ops, then start two workers of one pool each: the rate from the first execution to the last."""
    pool = run.options["pool"]
    task = add_async if pool.startswith("async") else add
    results = task.starmap([(1, 2)] * run.n)
    command = [word for word in run.worker_command("--pool", pool) if word not in ("-c", str(run.workers))]
    workers = run.start_workers(*[command] * run.workers)
    try:
        wait_for_count(run.n, workers)
        wrong = sum(result.get(timeout=60) != 3 for result in results.results[::1000])
        cpu = workers.cpu_seconds()
    finally:
        workers.stop()
    times = stamps.timeline()
    return Measured(
        {"rate": (len(times) - 1) / (times[-1] - times[0])},
        {"wrong": wrong, "worker_cpu_us": rounded(cpu / run.n * 1e6)},
    )


def sleepers(run: Run) -> Measured:
    """Have one worker run n coroutines that sleep at once: how long beyond their sleep, and in how much memory."""
    sleep_s = run.options["sleep_s"]
    command = [word for word in run.worker_command() if word not in ("-c", str(run.workers))]
    workers = run.start_workers([*command, "--pool", f"async:{run.n}"])
    try:
        nap_async.delay(0.0).get(timeout=60)
        before = sum(memory(pid)["pss"] for pid in workers.pids())
        begun = time.perf_counter()
        results = nap_async.map([sleep_s] * run.n)
        wait_for_count(run.n + 1, workers)
        grown = sum(memory(pid)["pss"] for pid in workers.pids()) - before
        assert len(results.get(timeout=120)) == run.n
        taken_s = time.perf_counter() - begun
    finally:
        workers.stop()
    return Measured(
        {"beyond": taken_s - sleep_s, "memory": grown / run.n / 1024},
        {"sleep_s": sleep_s, "grown_mib": rounded(grown / MIB)},
    )


def retries(run: Run) -> Measured:
    """Queue n tasks that fail at their first attempt and are tried again at once: attempts per second."""
    results = again.map([1] * run.n)
    workers = run.start_workers()
    try:
        wait_for_count(2 * run.n, workers)
        wrong = sum(result.get(timeout=60) != 1 for result in results.results[::1000])
        server = server_cpu_seconds(run.url)
    finally:
        workers.stop()
    times = stamps.timeline()
    return Measured(
        {"rate": (len(times) - 1) / (times[-1] - times[0])},
        {"wrong": wrong, "server_cpu_us": rounded(server / len(times) * 1e6)},
    )
