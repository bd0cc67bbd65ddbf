"""The app whose tasks are measured: `taskmesh worker benchmarks.app:mesh`."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

from benchmarks.harness import stamps
from taskmesh import TaskMesh, current_task
from taskmesh.coordination.firing import read_firing_id

#: What the runner tells the measuring process and its workers.
URL_VARIABLE = "BENCH_URL"
FOLDER_VARIABLE = "BENCH_FOLDER"
BROKER_VARIABLE = "BENCH_BROKER"

mesh = TaskMesh(
    "bench",
    nodes=[os.environ.get(URL_VARIABLE, "redis://127.0.0.1:6379/0")],
    broker=os.environ.get(BROKER_VARIABLE, "mesh"),
)

_HOLD_S = 600.0


@mesh.task
def add(x: int, y: int) -> int:
    """Do nothing, and leave a time stamp."""
    return stamps.work(x, y)


@mesh.task
async def add_async(x: int, y: int) -> int:
    """As `add`, as a coroutine."""
    return stamps.work(x, y)


@mesh.task
async def nap_async(seconds: float) -> float:
    """Leave a time stamp, and sleep."""
    stamps.work(0, 0)
    await asyncio.sleep(seconds)
    return seconds


class TryAgain(Exception):
    """What passes by the next attempt."""


@mesh.task(autoretry_for=(TryAgain,), throws=(TryAgain,), default_retry_delay=0.001)
def again(value: int) -> int:
    """Leave a time stamp, and fail at the first attempt."""
    stamps.work(0, 0)
    if current_task().attempt == 1:
        raise TryAgain
    return value


@mesh.task
def whoami() -> int:
    """Return the process that runs this."""
    return os.getpid()


@mesh.task
def fired() -> None:
    """Leave by how many seconds this runs later than its schedule says."""
    found = read_firing_id(current_task().id)
    if found is not None:
        stamps.leave(time.time() - found[1] / 1000)


@mesh.task
def gate(name: str) -> None:
    """Keep this child until the file is there."""
    stamps.work(0, 0)
    path = folder() / name
    while not path.exists():
        time.sleep(0.0005)


@mesh.task
def hold(name: str) -> str:
    """Note who runs this and since when; the first to run it never ends by itself."""
    note = json.dumps({"pid": os.getpid(), "at": time.monotonic()})
    try:
        with (folder() / f"{name}.first").open("x") as file:
            file.write(note + "\n")
    except FileExistsError:
        with (folder() / f"{name}.again").open("a") as file:
            file.write(note + "\n")
        return name
    time.sleep(_HOLD_S)
    return name


def folder() -> Path:
    """Return where this measurement keeps its files."""
    return Path(os.environ[FOLDER_VARIABLE])


def note_of(name: str, run: str) -> dict[str, float] | None:
    """Return what a run of `hold` noted, `first` or `again`; None if it has not."""
    try:
        text = (folder() / f"{name}.{run}").read_text()
    except FileNotFoundError:
        return None
    if not text.endswith("\n"):
        return None  # being written
    found: dict[str, float] = json.loads(text.splitlines()[0])
    return found
