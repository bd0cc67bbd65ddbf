"""Tasks that keep books: each run writes down that it began and that it ended, whatever becomes of its process.

The book is a file opened with `O_APPEND`, one write per line, so that many processes may keep it and a line
survives any death. The value of a run is the name of the run: so an outcome tells which run it is of.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from pathlib import Path

from taskmesh import current_task

BOOK = "book"


def write(folder: str, line: str) -> None:
    """Write one line into the book."""
    fd = os.open(Path(folder) / BOOK, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


def entry(folder: str, seconds: float = 0.0, *, fail: bool = False) -> str:
    """Write down begin and end, take so long in between, and return the name of this run, or fail with it."""
    task = current_task()
    run = os.urandom(6).hex()
    facts = f"{task.id} {run} {task.crashes} {os.getpid()} {os.getppid()} {task.worker}"
    write(folder, f"begin {facts}")
    if seconds:
        time.sleep(seconds)
    write(folder, f"end {facts}")
    if fail:
        raise ValueError(run)
    return run


def poison(folder: str, how: str) -> None:
    """Write down the begin, and end the process: by a segfault, by an exit, as the kernel does for want of memory."""
    task = current_task()
    write(
        folder,
        f"begin {task.id} {os.urandom(6).hex()} {task.crashes} {os.getpid()} {os.getppid()} {task.worker}",
    )
    if how == "segfault":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)
    elif how == "exit":
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


def hoard(limit: int) -> int:
    """Ask for more memory than the process may have, and return how much it got."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        return len(bytearray(2 * limit))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


TASKS = (entry, poison, hoard)
