"""Import time, start of a worker, memory of an idle child."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from benchmarks.app import add, whoami
from benchmarks.harness import stamps
from benchmarks.harness.figures import rounded
from benchmarks.harness.processes import memory
from benchmarks.rows.model import ROOT, Measured, Run, wait_for_count

MEGABYTE = 1_000_000

IMPORTS = {"package": "import taskmesh", "class": "from taskmesh import TaskMesh"}
_TIMED = """
import sys, time
known = len(sys.modules)
start = time.perf_counter()
{statement}
print(time.perf_counter() - start, len(sys.modules) - known)
"""


def imports(run: Run) -> Measured:
    """Import in n fresh interpreters, two statements in turn; the interpreter's own start is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in IMPORTS}
    modules = {}
    for at in range(run.n + 1):
        for name, statement in IMPORTS.items():
            words = [sys.executable, "-c", _TIMED.format(statement=statement)]
            said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
            modules[name] = int(said[1])
            if at:  # the first one writes the bytecode
                taken[name].append(float(said[0]) * 1000)
    detail = {f"best_ms_{name}": rounded(min(values)) for name, values in taken.items()}
    detail.update({f"modules_{name}": count for name, count in modules.items()})
    return Measured({name: median(values) for name, values in taken.items()}, detail)


def worker_start(run: Run) -> Measured:
    """A message waits; from the start of the worker command until it runs, the median of n starts."""
    taken = []
    for _ in range(run.n + 1):
        stamps.clear()
        add.delay(1, 2)
        workers = run.start_workers()
        try:
            wait_for_count(1, workers)
        finally:
            workers.stop()
        taken.append(stamps.timeline()[0] - workers.started)
    del taken[0]  # writes bytecode, fills the disk cache
    return Measured(
        {"seconds": median(taken)}, {"best_s": rounded(min(taken)), "worst_s": rounded(max(taken))}
    )


def idle_child(run: Run) -> Measured:
    """Memory of a child that has run some tasks and is idle: what belongs to it alone (USS), the largest child's."""
    workers = run.start_workers()
    try:
        add.starmap([(1, 2)] * run.n).get(timeout=60)
        pids: set[int] = set()
        deadline = time.monotonic() + 30
        while len(pids) < run.workers and time.monotonic() < deadline:
            pids |= set(whoami.starmap([()] * 20).get(timeout=60))
        time.sleep(run.options["idle_s"])
        sizes = [memory(pid) for pid in pids]
        whole = workers.memory()
    finally:
        workers.stop()
    return Measured(
        {"uss": max(size["uss"] for size in sizes) / MEGABYTE},
        {
            "children": len(sizes),
            "child_pss_mb": rounded(max(size["pss"] for size in sizes) / MEGABYTE),
            "all_processes": len(whole),
            "all_pss_mb": rounded(sum(size["pss"] for size in whole) / MEGABYTE),
        },
    )
