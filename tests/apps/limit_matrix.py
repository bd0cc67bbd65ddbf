"""Three tasks that never end by themselves, with one limit, as the surroundings say."""

from __future__ import annotations

import asyncio
import os
import time

from taskmesh import TaskMesh


def spin() -> None:
    """Compute without an end."""
    while True:
        pass


def block() -> None:
    """Make a call that returns late."""
    time.sleep(600)


async def rest() -> None:
    """Wait on an event loop."""
    await asyncio.sleep(600)


FUNCTIONS = {"spin": spin, "block": block, "rest": rest}
LIMIT_S = 0.3


def register(mesh: TaskMesh, name: str, limit: str, queue: str = "default") -> TaskMesh:
    """Make one of them a task with one limit, `soft_time_limit` or `time_limit`."""
    mesh.task(queue=queue, **{limit: LIMIT_S})(FUNCTIONS[name])
    return mesh


if "TASKMESH_TEST_MATRIX" in os.environ:
    mesh = register(
        TaskMesh(os.environ["TASKMESH_TEST_MESH"]), *os.environ["TASKMESH_TEST_MATRIX"].split("/")
    )
