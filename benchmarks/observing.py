"""`python -m benchmarks.observing`: what it costs to be seen: metrics, and whatever else is in MODES, on and off.

For each mode, in turn and several times, the same messages are queued and a worker of one child drains them. What
counts is the processor time of the worker's processes, by task: others on the machine disturb it little. The time of
what a child counts is measured by itself as well. Goes to results/observing.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import timeit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.harness import machine
from benchmarks.harness.figures import rounded
from taskmesh import TaskMesh
from taskmesh.worker.launch import command_for, environment_for, options_for
from taskmesh.worker.page import Page, make_page, sheet_at

FIGURES = Path(__file__).parent / "results" / "observing.json"
TASKS, ROUNDS = 30_000, 7
#: How often one count is repeated, to be timed.
COUNTS = 200_000
#: Tiny tasks of one claim, which are written down together.
CLAIM = 100

mesh = TaskMesh("observing", embedded="private", durability="memory")


#: Set in the processes of a worker that is to trace what it runs.
TRACING = "TASKMESH_BENCH_TRACING"


def _trace() -> None:
    """Trace as an app would that exports in batches, to nobody: what counts is the worker's own part."""
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    from taskmesh.contrib.opentelemetry import trace_tasks

    class ToNobody(SpanExporter):
        def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    def provider() -> TracerProvider:
        made = TracerProvider()
        made.add_span_processor(BatchSpanProcessor(ToNobody()))
        return made

    trace_tasks(mesh, provider)


if os.environ.get(TRACING):
    _trace()


@mesh.task(ignore_result=True)
def add(x: int, y: int) -> int:
    """Do next to nothing: whatever comes on top is seen best."""
    return x + y


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to run the worker.

    Attributes:
        options: Of the worker, beside those that all have.
        environ: Variables of its processes; names begin with TASKMESH_BENCH_, so that settings leave them alone.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


#: The first is what the others are compared with.
MODES = {
    "off": Mode(),
    "metrics": Mode(options={"probes": "127.0.0.1:0"}),
    "tracing": Mode(environ={TRACING: "1"}),
}


def drained_s(mode: Mode, tasks: int) -> float:
    """Return the processor time of a worker that drains a queue, in seconds, its start included."""
    add.starmap([(1, 2)] * tasks)
    options = msgspec.structs.replace(options_for(mesh, 1, (), "observed", burst=True), **mode.options)
    before_s = _children_s()
    done = subprocess.run(
        command_for(options), env=environment_for(mesh) | dict(mode.environ), timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the worker ended with {done.returncode}")
    return _children_s() - before_s


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def counted_ns(counts: int = COUNTS) -> float:
    """Return how long a child takes to count one run, in nanoseconds."""
    fd = make_page(1, with_sheets=True)
    sheet = Page(fd).sheet(sheet_at(1, 0))

    def count() -> None:
        for _ in range(CLAIM):
            sheet.end(sheet.begin("benchmarks.observing.add", 0.003), b"K", 0.00002)
        sheet.flush()

    taken_s = min(timeit.repeat(count, number=counts // CLAIM, repeat=5)) / (counts // CLAIM * CLAIM)
    os.close(fd)
    return taken_s * 1e9


def measure(tasks: int = TASKS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return the figures: by mode the median of all rounds, and what comes on top of the first."""
    starts: dict[str, list[float]] = {name: [] for name in MODES}
    found: dict[str, list[float]] = {name: [] for name in MODES}
    for _ in range(rounds):
        for name, mode in MODES.items():
            starts[name].append(drained_s(mode, 1))
            found[name].append((drained_s(mode, tasks + 1) - starts[name][-1]) / tasks * 1e6)
    base = next(iter(MODES))
    return {
        "tasks": tasks,
        "rounds": rounds,
        "count_ns": rounded(counted_ns()),
        "modes": {
            name: {
                "cpu_us": rounded(statistics.median(found[name])),
                "extra_us": rounded(_extra(found[name], found[base])),
                "extra_start_ms": rounded(_extra(starts[name], starts[base]) * 1000),
            }
            for name in MODES
        },
    }


def _extra(figures: Sequence[float], base: Sequence[float]) -> float:
    """Return what comes on top, as the median over the rounds: each is compared with its neighbour in time."""
    return statistics.median(one - other for one, other in zip(figures, base, strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.observing", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--tasks", type=int, default=TASKS, help="messages of each drain")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="drains of each mode")
    parser.add_argument("--json", type=Path, default=FIGURES, metavar="FILE", help="where the figures go")
    args = parser.parse_args(argv)
    with mesh:
        document = {"machine": machine.describe(), **measure(args.tasks, args.rounds)}
    args.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
