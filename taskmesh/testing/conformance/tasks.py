"""What the workers of the suite run. Tasks leave notes in a folder, and wait there for files: the test says when."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taskmesh.app import TaskMesh
from taskmesh.core.context import current_task
from taskmesh.errors import Reject

#: By which the workers are told the name of their mesh.
MESH_VARIABLE = "CONFORMANCE_MESH"
POLL_S = 0.01


def note(folder: str, word: str) -> None:
    """Leave a note of one line, which survives whatever becomes of this process."""
    fd = os.open(Path(folder) / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{word}\n".encode())
    finally:
        os.close(fd)


def trace(folder: str, word: str) -> str:
    """Note a word, and return it."""
    note(folder, word)
    return word


def hold(folder: str, name: str) -> str:
    """Note that it began and by whom, wait for the file `let-NAME`, and return who ran it."""
    note(folder, f"{name} {current_task().worker}")
    while not (Path(folder) / f"let-{name}").exists():
        time.sleep(POLL_S)
    return current_task().worker


def fail_at_first(folder: str, name: str, times: int) -> int:
    """Fail so many times, each with a retry; then return at which attempt it was."""
    attempt = current_task().attempt
    note(folder, f"{name} {attempt}")
    if attempt <= times:
        raise current_task().retry(exc=ValueError(name), countdown=0.05, max_retries=times)
    return attempt


def fail(text: str) -> None:
    """Fail, with no retry."""
    raise ValueError(text)


def refuse(reason: str) -> None:
    """Have its message set aside."""
    raise Reject(reason)


def die_at_first(folder: str, name: str, times: int) -> int:
    """Kill its own process so many times; then return how many crashes the message was charged with."""
    crashes = current_task().crashes
    note(folder, f"{name} {crashes}")
    if crashes < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return crashes


def moment() -> float:
    """Return when it ran, as Unix time."""
    return time.time()


TASKS: tuple[Callable[..., Any], ...] = (trace, hold, fail_at_first, fail, refuse, die_at_first, moment)


def register(mesh: TaskMesh) -> TaskMesh:
    """Have a mesh know all of them, and return it."""
    for function in TASKS:
        mesh.task(function)
    return mesh
