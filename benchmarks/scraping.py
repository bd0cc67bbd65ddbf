"""`python -m benchmarks.scraping`: what one GET of /metrics costs a supervisor and its node, with much to tell.

A worker of some children serves many queues and has run many tasks; then half of the queues are paused with messages in
them. It is scraped so seldom that each scrape asks the node, and so often that most need not. What counts is the
processor time of the supervisor and of the server, less what both use when nobody scrapes. Goes to
results/scraping.json.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import psutil

from benchmarks.harness import machine, resp
from benchmarks.harness.figures import rounded
from taskmesh import TaskMesh
from taskmesh.metrics.mesh_values import FRESH_S
from taskmesh.worker.launch import command_for, environment_for, options_for

FIGURES = Path(__file__).parent / "results" / "scraping.json"
QUEUES, TASKS, CHILDREN = 50, 200, 8
#: Runs of each task, so that every child meets most of them.
RUNS = 40
#: Scrapes that are told each by itself, and how many come one after the other.
APART, TOGETHER = 12, 200
#: How long a worker may take to start.
START_S = 60.0

mesh = TaskMesh("scraping", embedded="private", durability="memory")


def nothing() -> None:
    """Do nothing."""


TASK_LIST = [
    mesh.task(name=f"benchmarks.scraping.task_{at:03}", queue=f"queue-{at % QUEUES:02}", ignore_result=True)(
        nothing
    )
    for at in range(TASKS)
]


@dataclass(frozen=True, slots=True)
class Used:
    """What was used up to a moment."""

    at_s: float
    supervisor_s: float
    node_s: float
    commands: int

    def since(self, before: Used) -> Used:
        """Return what was used meanwhile."""
        return Used(
            self.at_s - before.at_s,
            self.supervisor_s - before.supervisor_s,
            self.node_s - before.node_s,
            self.commands - before.commands,
        )


@contextmanager
def worker(children: int) -> Iterator[tuple[psutil.Process, str]]:
    """Run a worker; yields its supervisor, and where its metrics are."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    queues = tuple(f"queue-{at:02}" for at in range(QUEUES))
    options = msgspec.structs.replace(
        options_for(mesh, children, queues, "scraped"), probes=f"127.0.0.1:{port}", parent=os.getpid()
    )
    process = subprocess.Popen(command_for(options), env=environment_for(mesh))
    url = f"http://127.0.0.1:{port}"
    try:
        _until_ready(url)
        yield psutil.Process(process.pid), f"{url}/metrics"
    finally:
        process.terminate()
        process.wait(START_S)


def _until_ready(url: str) -> None:
    by_s = time.monotonic() + START_S
    while time.monotonic() < by_s:
        try:
            with urlopen(f"{url}/readyz") as answer:
                answer.read()
            return
        except OSError:  # it is not there, or not ready
            time.sleep(0.05)
    raise RuntimeError(f"the worker is not ready after {START_S:g} s")


def scrape(url: str) -> int:
    """Read the page, and return its length in bytes."""
    with urlopen(url) as answer:
        return len(answer.read())


def used(supervisor: psutil.Process) -> Used:
    """Return what supervisor and node have used."""
    url = mesh.address().url
    times = supervisor.cpu_times()
    commands = int(resp.info(url, "stats")["total_commands_processed"])
    return Used(time.monotonic(), times.user + times.system, resp.server_cpu_seconds(url), commands)


def per_scrape(
    supervisor: psutil.Process, url: str, count: int, every_s: float, idle: Used
) -> dict[str, float]:
    """Return what each of some scrapes cost, beyond what is used anyway.

    Args:
        supervisor: Who is asked.
        url: The page.
        count: How many scrapes.
        every_s: How long to wait after each.
        idle: What was used in a while without any.
    """
    before = used(supervisor)
    for _ in range(count):
        scrape(url)
        time.sleep(every_s)
    spent = used(supervisor).since(before)
    share = spent.at_s / idle.at_s
    return {
        "supervisor_ms": rounded((spent.supervisor_s - idle.supervisor_s * share) / count * 1e3),
        "node_ms": rounded((spent.node_s - idle.node_s * share) / count * 1e3),
        "node_commands": rounded((spent.commands - idle.commands * share) / count),
        "seconds": rounded(spent.at_s),
    }


def measure(
    apart: int = APART, together: int = TOGETHER, runs: int = RUNS, children: int = CHILDREN
) -> dict[str, Any]:
    """Return the figures."""
    with worker(children) as (supervisor, url):
        for task in TASK_LIST:
            task.starmap([()] * runs).get(600)
        for at in range(0, QUEUES, 2):
            mesh.pause_queue(f"queue-{at:02}")
        for task in TASK_LIST[::2]:
            task.delay()
        scrape(url)
        before = used(supervisor)
        time.sleep(apart * FRESH_S / 2)
        idle = used(supervisor).since(before)
        return {
            "queues": QUEUES,
            "tasks": TASKS,
            "children": children,
            "page_bytes": scrape(url),
            "apart": per_scrape(supervisor, url, apart, FRESH_S + 0.1, idle),
            "together": per_scrape(supervisor, url, together, 0.0, idle),
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scraping", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--apart", type=int, default=APART, help="scrapes each of which asks the node")
    parser.add_argument("--together", type=int, default=TOGETHER, help="scrapes one after the other")
    parser.add_argument("--json", type=Path, default=FIGURES, metavar="FILE", help="where the figures go")
    args = parser.parse_args(argv)
    with mesh:
        document = {"machine": machine.describe(), **measure(args.apart, args.together)}
    args.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
