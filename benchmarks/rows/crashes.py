"""How soon the messages of the dead run again."""

from __future__ import annotations

import os
import signal
import sys
import time

from benchmarks.app import add, hold, note_of
from benchmarks.harness.elsewhere import can_rename_host
from benchmarks.harness.figures import rounded
from benchmarks.rows.model import Measured, Run, wait_for

OTHER_HOST = "bench-other-host"


def killed_child(run: Run) -> Measured:
    """Kill the child that runs a task: from the signal until the task runs again. The slowest of n counts."""
    workers = run.start_workers()
    gaps = []
    try:
        add.delay(1, 2).get(timeout=60)
        for at in range(run.n):
            name = f"child-{at}"
            result = hold.delay(name)
            wait_for(lambda: note_of(name, "first"), "the first run", workers=workers)  # noqa: B023 - called at once
            first = note_of(name, "first") or {}
            killed = time.monotonic()
            os.kill(int(first["pid"]), signal.SIGKILL)
            result.get(timeout=60)
            gaps.append(((note_of(name, "again") or {})["at"] - killed) * 1000)
    finally:
        workers.stop()
    gaps.sort()
    return Measured(
        {"slowest": gaps[-1]}, {"median_ms": rounded(gaps[len(gaps) // 2]), "min_ms": rounded(gaps[0])}
    )


def dead_machine(run: Run) -> Measured:
    """Kill all processes of a worker at once: until everything it ran runs again, on another worker.

    With `other_host`, the other worker runs under another host name, so that it can only tell by the heartbeat.
    """
    other = run.worker_command("-n", "survivor")
    if run.options["other_host"]:
        if not can_rename_host():
            return Measured(
                skipped="no right to give a process another host name (needs root or user namespaces)"
            )
        other = [sys.executable, "-m", "benchmarks.harness.elsewhere", OTHER_HOST, *other]
    victim = run.start_workers(run.worker_command("-n", "victim"))
    survivor = None
    names = [f"machine-{at}" for at in range(run.workers)]
    try:
        results = [hold.delay(name) for name in names]
        wait_for(lambda: all(note_of(name, "first") for name in names), "the first runs", workers=victim)
        survivor = run.start_workers(other)
        add.delay(1, 2).get(timeout=60)  # only the survivor is free to run it
        time.sleep(run.options["settle_s"])
        killed = time.monotonic()
        victim.kill()
        for result in results:
            result.get(timeout=120)
        again = max((note_of(name, "again") or {})["at"] for name in names)
    finally:
        victim.stop()
        if survivor is not None:
            survivor.stop()
    return Measured({"seconds": again - killed}, {"messages": len(names)})
