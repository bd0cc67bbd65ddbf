"""Small things about processes: dying with one's parent, telling the living from the dead."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

log = logging.getLogger("taskmesh.worker")

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, where the kernel can (Linux).

    Elsewhere the end of a socket tells, as soon as the process looks.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before we had asked


def pid_space() -> str:
    """Return what tells apart process numbers of containers on one host."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "host"


def started_at(pid: int) -> str:
    """Return when a process of this machine was started, as an opaque text; empty if it does not run.

    The text is the same whoever asks and whenever, also when the wall clock is set meanwhile. A zombie does not run: it
    only waits for its parent to ask how it ended.
    """
    return _started_on_linux(pid) if sys.platform == "linux" else _started_elsewhere(pid)


def _started_elsewhere(pid: int) -> str:
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return ""


def _started_on_linux(pid: int) -> str:
    """Return the ticks since the machine's start: what psutil makes of them follows the wall clock."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    # the name of the program stands in parentheses, and may hold anything
    fields = stat.rpartition(b")")[2].split()
    return "" if fields[0] == b"Z" else fields[19].decode("ascii")


def exit_after(body: Callable[[], int]) -> NoReturn:
    """Run the whole life of this process, and end it without returning to the code around.

    A forked process must not go on in its parent's code; and threads that an app started must not keep a
    process that is done.
    """
    code = 1
    try:
        code = body()
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:
        # the edge of the process
        log.exception("process %d ends by an error", os.getpid())
    finally:
        try:
            _say_last_words()
        finally:
            os._exit(code)


def _say_last_words() -> None:
    """Write out what is still buffered; tasks may have replaced, closed or dropped the streams."""
    try:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError, AttributeError) as error:
        # nobody is left to read it
        log.debug("what was buffered cannot be written: %s", error)
