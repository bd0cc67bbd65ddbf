"""What the tests of pools need beside `worker_tasks`: tasks that are tried again, and hooks that are `async def`."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

from taskmesh import TaskMesh, current_task
from tests.apps import worker_tasks
from tests.apps.worker_tasks import note


async def flaky_async(failures: int) -> int:
    """Fail so often, then return the number of the attempt."""
    await asyncio.sleep(0)
    return flaky(failures)


def flaky(failures: int) -> int:
    """Fail so often, then return the number of the attempt."""
    attempt = current_task().attempt
    if attempt <= failures:
        raise OSError(f"attempt {attempt}")
    return attempt


def in_which_thread() -> str:
    """Return the name of the thread."""
    return threading.current_thread().name


async def exit_beside() -> int:
    """Leave something on the loop that wants to end the process."""

    async def leave() -> None:
        raise SystemExit(3)

    beside = asyncio.create_task(leave())
    await asyncio.wait([beside])
    return 3


def stop_iteration() -> None:
    """Raise what no future can hold."""
    raise StopIteration


def register(mesh: TaskMesh) -> TaskMesh:
    """Make all of them tasks of a mesh, and return that."""
    worker_tasks.register(mesh)
    for function in (flaky, flaky_async):
        mesh.task(autoretry_for=(OSError,), max_retries=3, retry_backoff=0.01, retry_jitter=False)(function)
    for function in (in_which_thread, exit_beside, stop_iteration):
        mesh.task(function)
    return mesh


def watch(mesh: TaskMesh, folder: str) -> TaskMesh:
    """Have hooks leave notes in a folder."""

    @mesh.on_child_start
    async def started(worker: Any) -> None:
        await asyncio.sleep(0)
        note(folder, f"start {worker.child > 0}")

    @mesh.before_task
    async def before(task: Any) -> None:
        await asyncio.sleep(0)
        note(folder, f"before {task.id} {current_task().id}")

    @mesh.on_success
    async def succeeded(task: Any, value: Any) -> None:
        await asyncio.sleep(0)
        note(folder, f"success {task.id} {value}")

    @mesh.on_retry
    def again(task: Any, error: BaseException) -> None:
        note(folder, f"retry {task.id} {error}")

    @mesh.on_failure
    async def failed(task: Any, error: BaseException) -> None:
        await asyncio.sleep(0)
        note(folder, f"failure {task.id} {error}")

    @mesh.on_child_stop
    async def stopped(_worker: Any) -> None:
        await asyncio.sleep(0)
        note(folder, "stop")

    return mesh


if "TASKMESH_TEST_POOLS" in os.environ:
    mesh = watch(register(TaskMesh(os.environ["TASKMESH_TEST_MESH"])), os.environ["TASKMESH_TEST_POOLS"])
