"""What grows in a long run, of nodes and of processes; and the tracebacks that were logged."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.faults.mesh_scene import MeshScene

MIB = 1 << 20
#: What a figure may grow by over a whole run: a third, and what a process needs to have once had much to do.
SHARE = 1.33
SPARE = {"MiB": 24.0, "": 40.0}


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at everybody.

    Attributes:
        figures: What -> how much, of whoever has most.
        taken_s: When, on the monotonic clock.
    """

    figures: dict[str, float]
    taken_s: float = 0.0

    def __str__(self) -> str:
        return ", ".join(f"{what} {figure:.0f}" for what, figure in self.figures.items())

    def grown(self, since: Sample, load: float = 1.0, what: str = "") -> list[str]:
        """Return what has grown since, in words.

        Args:
            since: An earlier look.
            load: How many times as much was done between the last two looks as before that one: a process gives back
                little of what it once needed.
            what: The figure that is meant; empty for all but the keys, which can only grow for as long as is known
                what was forgotten.
        """
        meant = [what] if what else [each for each in since.figures if each != "keys"]
        return [
            f"{each} grew from {since.figures[each]:.0f} to {self.figures[each]:.0f}"
            for each in meant
            if self.figures[each]
            > since.figures[each] * SHARE * max(1.0, load) + SPARE["MiB" if each.endswith("MiB") else ""]
        ]


def look(scene: MeshScene, processes: Iterable[psutil.Process]) -> Sample:
    """Look at the nodes of a scene, and at those of some processes that live: who caller is, and who was started."""
    nodes = []
    for server in scene.nodes:
        with server.client() as client:
            info = client.info()
            nodes.append((info["used_memory"] / MIB, info["connected_clients"], client.dbsize()))
    seen = [found for process in processes if (found := _of(process)) is not None]
    memory, connections, keys = (max(each) for each in zip(*nodes, strict=True))
    rss, files, threads = (max(each) for each in zip(*seen, strict=True))
    return Sample(
        {
            "node MiB": memory,
            "connections": connections,
            "keys": keys,
            "process MiB": rss,
            "files": files,
            "threads": threads,
        },
        time.monotonic(),
    )


def _of(process: psutil.Process) -> tuple[float, int, int] | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.memory_info().rss / MIB, process.num_fds(), process.num_threads()
    except psutil.NoSuchProcess:
        return None


def is_of_task(lines: list[str], at: int) -> bool:
    """Tell whether an indented traceback belongs to the line that says that a task failed."""
    while at > 0 and lines[at].startswith("  "):
        at -= 1
    return ") failed: " in lines[at]


def tracebacks(logs: Iterable[Path]) -> list[str]:
    """Return the tracebacks in logs, but for those of tasks that failed: no fault of this kind explains one."""
    found = []
    for log in logs:
        lines = log.read_text("utf-8", "replace").splitlines()
        for at, line in enumerate(lines):
            if "Traceback" in line and not is_of_task(lines, at):
                found.append(f"{log.name}: " + "\n  ".join(lines[max(0, at - 1) : at + 25]))
    return found
