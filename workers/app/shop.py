"""A small app to try a fleet with: one task for each kind of worker, and one that kills its process.

Put your own in its place: `APP_PATH` and `TASKMESH_APP` of `workers/Dockerfile`.
"""

import asyncio
import hashlib
import os
import signal

from taskmesh import TaskMesh, every

mesh = TaskMesh("shop")


@mesh.task
def add(x: int, y: int) -> int:
    """Run by the general workers."""
    return x + y


@mesh.task(queue="cpu")
def digest(rounds: int) -> str:
    """Use the processor: run by those with processes for nothing else."""
    value = b"taskmesh"
    for _ in range(rounds):
        value = hashlib.sha256(value).digest()
    return value.hex()


@mesh.task(queue="io")
async def pause(seconds: float) -> float:
    """Wait, as for somebody's server: run by those with coroutines, hundreds at a time."""
    await asyncio.sleep(seconds)
    return seconds


@mesh.task
def crash() -> None:
    """Kill the process that runs this, as a library in C may, or a machine that is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


mesh.schedule("pulse", every("30s"), add.s(1, 2))  # shows that somebody leads
