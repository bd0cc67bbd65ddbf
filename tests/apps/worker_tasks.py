"""Tasks that misbehave on order: what the tests of faults have workers run.

They leave notes in a folder of the test (`O_APPEND`, so that a note survives any death), and wait for files
to appear: a test decides what happens when, and nothing depends on how long something takes.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Any

from taskmesh import TaskMesh, current_task
from tests.apps import ledger_tasks

POLL_S = 0.005


def note(folder: str, word: str) -> None:
    """Leave a note: one line in `folder/notes`."""
    fd = os.open(Path(folder) / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{word}\n".encode())
    finally:
        os.close(fd)


def await_file(path: Path) -> None:
    """Return when the file is there."""
    while not path.exists():
        time.sleep(POLL_S)


def add(x: int, y: int) -> int:
    """Return the sum."""
    return x + y


def trace(folder: str, word: str, value: int = 0) -> int:
    """Note that it began, and return the value."""
    note(folder, word)
    return value


def nap(folder: str, word: str, seconds: float) -> float:
    """Note that it began, and take a while."""
    note(folder, word)
    time.sleep(seconds)
    return seconds


def hold(folder: str, name: str, value: int = 0) -> int:
    """Note that it began, as `name`, and wait for the file `let-<name>`."""
    note(folder, f"{name} {os.getpid()}")
    await_file(Path(folder) / f"let-{name}")
    return value


def hold_run(folder: str, name: str) -> int:
    """Hold each run by a name of its own, `<name>-<crashes before>`, and return which run it was."""
    run = current_task().crashes
    return hold(folder, f"{name}-{run}", run)


async def hold_async(folder: str, name: str, value: int = 0) -> int:
    """As `hold`, in an event loop."""
    note(folder, f"{name} {os.getpid()}")
    while not (Path(folder) / f"let-{name}").exists():  # noqa: ASYNC110 - what it waits for is a file
        await asyncio.sleep(POLL_S)
    return value


async def hold_without_threads(folder: str, name: str, value: int = 0) -> int:
    """As `hold_async`, and no thread can be started in its process meanwhile: each would want too large a stack."""
    threading.stack_size(1 << 46)
    try:
        return await hold_async(folder, name, value)
    finally:
        threading.stack_size(0)


async def nap_async(seconds: float, value: int = 0) -> int:
    """Take a while, in an event loop."""
    await asyncio.sleep(seconds)
    return value


async def block_loop(folder: str, name: str, value: int = 0) -> int:
    """As `hold`, but the whole event loop with it."""
    return hold(folder, name, value)


async def block_loop_beside(folder: str, name: str) -> int:
    """Have a task of its own block the loop."""
    return await asyncio.create_task(block_loop(folder, name))


async def about_async(seconds: float) -> tuple[str, str, int]:
    """Return the own id before and after a while, and the thread."""
    before = current_task().id
    await asyncio.sleep(seconds)
    return before, current_task().id, threading.get_ident()


def about(seconds: float) -> tuple[str, str, int]:
    """Return the own id before and after a while, and the thread."""
    before = current_task().id
    time.sleep(seconds)
    return before, current_task().id, threading.get_ident()


def hold_or_nap(folder: str, name: str, seconds: float) -> float:
    """Hold when `seconds` is negative, else take so long: one task whose runs differ."""
    if seconds < 0:
        hold(folder, name)
    else:
        nap(folder, name, seconds)
    return seconds


def hold_gil(folder: str, name: str, *, wait: bool) -> bool:
    """Keep the interpreter's lock until somebody opens the pipe `pipe-<name>`: no other thread runs here."""
    note(folder, f"{name} {os.getpid()}")
    if wait:
        ctypes.PyDLL(None).open(f"{folder}/pipe-{name}".encode(), os.O_RDONLY)
    return wait


def leave(folder: str, code: int) -> None:
    """End the process as no task should."""
    note(folder, f"leave {os.getpid()}")
    os._exit(code)


def segfault(folder: str) -> None:
    """End the process by a signal, as a broken extension does."""
    note(folder, f"segfault {os.getpid()}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def segfault_late(folder: str, name: str) -> None:
    """Give others the time to begin, let those go that hold as `name`, and end the process by a signal."""
    time.sleep(0.1)
    (Path(folder) / f"let-{name}").touch()
    segfault(folder)


def hold_or_span(folder: str, name: str) -> str:
    """Hold as `name`; once that has been let go, note the begin and the end of a short run."""
    if not (Path(folder) / f"let-{name}").exists():
        hold(folder, name)
        return "held"
    note(folder, "begin")
    time.sleep(0.05)
    note(folder, "end")
    return "ran"


def kill_itself_once(folder: str, value: int) -> int:
    """End the process by a signal on the first run only."""
    note(folder, f"crashes {current_task().crashes}")
    if not current_task().crashes:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def cancel() -> None:
    """Raise what is no `Exception`."""
    raise asyncio.CancelledError("as a library may")


TASKS = (
    add,
    trace,
    nap,
    hold,
    hold_run,
    hold_async,
    hold_without_threads,
    nap_async,
    block_loop,
    block_loop_beside,
    about_async,
    about,
    hold_or_nap,
    hold_gil,
    leave,
    segfault,
    segfault_late,
    hold_or_span,
    kill_itself_once,
    cancel,
    *ledger_tasks.TASKS,
)


def register(mesh: TaskMesh) -> Any:
    """Make all of them tasks of a mesh, and return that."""
    for function in TASKS:
        mesh.task(function)
    return mesh
