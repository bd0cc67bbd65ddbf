"""Tasks that run for too long, each in its own way."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from typing import Any

from taskmesh import TaskMesh, current_task
from taskmesh.errors import SoftTimeLimitExceeded
from tests.apps.worker_tasks import hold, note


def spin(folder: str, name: str) -> None:
    """Never end, and never wait."""
    note(folder, f"{name} {os.getpid()}")
    while True:
        pass


async def spin_async(folder: str, name: str) -> None:
    """As `spin`, in an event loop, which then does nothing else."""
    spin(folder, name)


def backtrack(folder: str, name: str) -> bool:
    """Stay in C code that never lets go of the interpreter's lock."""
    note(folder, f"{name} {os.getpid()}")
    return re.match(r"(a+)+$", "a" * 64 + "b") is not None


def give_up(folder: str, name: str, value: int) -> int:
    """Clean up when the time is over, and return a value all the same."""
    try:
        return hold(folder, name)
    except SoftTimeLimitExceeded as error:
        note(folder, f"{name}-cleaned {error.limit_s:g}")
        return value


async def give_up_async(folder: str, name: str, value: int) -> int:
    """As `give_up`, where it waits in an event loop."""
    try:
        note(folder, f"{name} {os.getpid()}")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3600))
    except SoftTimeLimitExceeded as error:
        note(folder, f"{name}-cleaned {error.limit_s:g}")
    await asyncio.sleep(0)
    return value


def take_no_notice(folder: str, name: str) -> None:
    """Go on, whatever is raised here."""
    while True:
        try:
            time.sleep(3600)
        except SoftTimeLimitExceeded:
            note(folder, f"{name}-told {os.getpid()}")


def stand_still(folder: str, name: str) -> None:
    """Stop the whole process, as SIGSTOP does."""
    note(folder, f"{name} {os.getpid()}")
    os.kill(os.getpid(), signal.SIGSTOP)
    hold(folder, name)


def clean_up(folder: str, name: str) -> None:
    """Hold, and clean up when told to end."""
    try:
        hold(folder, name)
    finally:
        note(folder, f"{name}-cleaned")


async def clean_up_async(folder: str, name: str) -> None:
    """As `clean_up`, in an event loop."""
    note(folder, f"{name} {os.getpid()}")
    try:
        await asyncio.sleep(3600)
    finally:
        note(folder, f"{name}-cleaned")


def ignore_everything(folder: str, name: str) -> None:
    """Go on, whatever is raised here."""
    note(folder, f"{name} {os.getpid()}")
    while True:
        try:
            time.sleep(3600)
        except BaseException:  # noqa: BLE001
            note(folder, f"{name}-told")


def finish_anyway(folder: str, name: str, value: int) -> int:
    """Return when told to end."""
    try:
        hold(folder, name)
    except SystemExit:
        return value
    return 0


async def finish_anyway_async(folder: str, name: str, value: int) -> int:
    """As `finish_anyway`, in an event loop."""
    note(folder, f"{name} {os.getpid()}")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        return value
    return 0


async def go_on_async(folder: str, name: str) -> None:
    """Go on waiting, whatever is cancelled."""
    note(folder, f"{name} {os.getpid()}")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            note(folder, f"{name}-told")


def block(folder: str, name: str) -> None:
    """Block in one call, which lets go of the interpreter's lock."""
    note(folder, f"{name} {os.getpid()}")
    time.sleep(3600)


def fail_to_clean_up(folder: str, name: str) -> None:
    """Hold, and raise an error of its own when told to end."""
    try:
        hold(folder, name)
    finally:
        raise ValueError("cannot clean up")


def watch(folder: str, name: str) -> str:
    """Look whether it is revoked, and return then."""
    task = current_task()
    before = task.revoked
    note(folder, f"{name} {os.getpid()}")
    while not task.revoked:
        time.sleep(0.01)
    return "saw it" if not before else "saw it too soon"


def tell(folder: str, name: str) -> str:
    """Tell of itself, much and fast, and hold."""
    task = current_task()
    task.update_state("READING", {"file": "a.txt", "size": 3})
    for done in range(1000):
        task.report_progress(done, 1000, f"line {done}")
    hold(folder, name)
    return "told"


def tell_bound(self: Any, folder: str, name: str) -> str:
    """Tell of itself as Celery's users do."""
    self.update_state(state="PROGRESS", meta={"current": 1, "total": 2})
    hold(folder, name)
    return "told"


def tell_once(folder: str, name: str) -> int:
    """Tell of itself on the first run, and hold each."""
    task = current_task()
    if not task.crashes:
        task.report_progress(0)
    hold(folder, f"{name}-{task.crashes}")
    return task.crashes


def short(folder: str, name: str) -> int:
    """Hold; its own soft limit ends that."""
    return hold(folder, name)


def brief(folder: str, name: str) -> int:
    """Hold; its own hard limit ends that."""
    return hold(folder, name)


TASKS = (
    spin,
    spin_async,
    backtrack,
    give_up,
    give_up_async,
    take_no_notice,
    stand_still,
    clean_up,
    clean_up_async,
    ignore_everything,
    finish_anyway,
    finish_anyway_async,
    go_on_async,
    block,
    fail_to_clean_up,
    watch,
    tell,
    tell_once,
)


def register(mesh: TaskMesh) -> Any:
    """Make all of them tasks of a mesh, and return that."""
    for function in TASKS:
        mesh.task(function)
    mesh.task(tell_bound, bind=True)
    mesh.task(short, soft_time_limit=0.2, time_limit="1h")
    mesh.task(brief, time_limit=0.2)
    return mesh
