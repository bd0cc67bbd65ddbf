"""The app of the async tests: a mesh on a private node, whose workers import this module."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from taskmesh import TaskMesh, current_task

KEY = "async-tests-" + 64 * "0"
mesh = TaskMesh("async-tests", embedded="private", key=KEY)


@mesh.task
def add(x: int, y: int) -> int:
    """Return the sum."""
    return x + y


@mesh.task
def fail(text: str) -> None:
    """Fail with an error of Python's own."""
    raise ValueError(text)


@mesh.task
def after(path: str, value: int) -> int:
    """Return the value once a file is there: the test decides when."""
    while not Path(path).exists():
        time.sleep(0.002)
    return value


@mesh.task
async def add_slowly(x: int, y: int) -> int:
    """Return the sum, from a coroutine."""
    await asyncio.sleep(0)
    return x + y


@mesh.task
def who_am_i() -> str:
    """Return the id of the message that is being run."""
    return current_task().id


@mesh.task
def tell(path: str) -> str:
    """Tell how it goes until a file is there."""
    current_task().update_state("TELLING")
    current_task().report_progress(1, 3)
    while not Path(path).exists():
        time.sleep(0.002)
    return "told"
