"""Tasks that keep books: each run writes down that it began and that it ended, whatever becomes of its process.

The book is a file opened with `O_APPEND`, one write per line, so that many processes may keep it and a line
survives any death. The value of a run is the name of the run: so an outcome tells which run it is of.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import resource
import signal
import time
from pathlib import Path

from taskmesh import current_task

BOOK = "book"

#: By folder: opened once in each process, since a process may come to be allowed no further file.
_books: dict[str, int] = {}
#: What `take_all_files` holds.
_taken: list[int] = []


def write(folder: str, line: str) -> None:
    """Write one line into the book."""
    fd = _books.get(folder)
    if fd is None:
        opened = os.open(Path(folder) / BOOK, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        fd = _books.setdefault(folder, opened)
        if fd != opened:
            os.close(opened)  # another thread was faster
    os.write(fd, f"{line}\n".encode())


def begin(folder: str) -> tuple[str, str]:
    """Write down that this run begins; return its name and the line without its first word."""
    task = current_task()
    run = os.urandom(6).hex()
    facts = f"{task.id} {run} {task.crashes} {os.getpid()} {os.getppid()} {task.worker}"
    write(folder, f"begin {facts}")
    return run, facts


def entry(folder: str, seconds: float = 0.0, *, fail: bool = False) -> str:
    """Write down begin and end, take so long in between, and return the name of this run, or fail with it."""
    run, facts = begin(folder)
    if seconds:
        time.sleep(seconds)
    write(folder, f"end {facts}")
    if fail:
        raise ValueError(run)
    return run


async def entry_async(folder: str, seconds: float = 0.0, *, fail: bool = False) -> str:
    """As `entry`, waiting on an event loop."""
    run, facts = begin(folder)
    await asyncio.sleep(seconds)
    write(folder, f"end {facts}")
    if fail:
        raise ValueError(run)
    return run


def poison(folder: str, how: str) -> None:
    """Write down the begin, and end the process: by a segfault, by an exit, as the kernel does for want of memory."""
    begin(folder)
    if how == "segfault":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)
    elif how == "exit":
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


async def poison_async(folder: str, how: str) -> None:
    """As `poison`, on an event loop."""
    await asyncio.sleep(0)
    poison(folder, how)


async def overdue_async(folder: str, how: str) -> None:
    """Write down the begin, and block the event loop for ever: computing, in a call, in C code with the interpreter."""
    begin(folder)
    while how == "computing":
        pass
    while how == "in a call":
        time.sleep(3600)  # noqa: ASYNC251 - that it blocks is the point
    re.match(r"(a+)+$", "a" * 64 + "b")


def take_all_files(folder: str, limit: int) -> str:
    """As `entry`, and have the process hold as many files as it may from now on, which are so many."""
    run, facts = begin(folder)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    try:
        while True:
            _taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        write(folder, f"end {facts}")
    return run


def open_file(path: str) -> int:
    """Open a file, and return how much is in it."""
    return len(Path(path).read_bytes())


def hoard(limit: int) -> int:
    """Ask for more memory than the process may have, and return how much it got."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        return len(bytearray(2 * limit))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


TASKS = (entry, entry_async, poison, poison_async, overdue_async, take_all_files, open_file, hoard)
