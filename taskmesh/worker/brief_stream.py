"""Standard error of a process that may wait a moment for whoever reads it, and no longer.

A pipe that nobody reads is full some day, and a write to it then takes for ever. The template only forks, so it must
have no thread that could write in its place, and what a child says last, before it dies, must not wait in a queue. So
these processes write themselves, as long as there is room. What finds none in time is dropped, and counted.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import time

from taskmesh.worker.own_line import own_line

#: A reader that was not waited for in vain last time is waited for so long.
PATIENCE_S = 1.0


class BriefStream(io.TextIOBase):
    """A text stream whose `write` returns within a second."""

    def __init__(self, fd: int, patience_s: float = PATIENCE_S) -> None:
        """Prepare.

        Args:
            fd: Where to write; it is neither changed nor closed, since other processes share it.
            patience_s: How long a write may wait for a reader.
        """
        super().__init__()
        self._fd = fd
        self._patience_s = patience_s
        self._lost = 0
        self._is_torn = False

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def write(self, text: str, /) -> int:
        """Write a text, or drop what nobody makes room for in time."""
        data = text.encode("utf-8", "backslashreplace")
        whole = (b"\n" if self._is_torn else b"") + self._confession() + data
        try:
            left = len(whole) - _write(self._fd, whole, 0.0 if self._lost else self._patience_s)
        except OSError:
            return len(text)  # closed, or on a full disk: there is nowhere to say so
        if left < len(whole):
            self._lost = 0
            self._is_torn = bool(left)
        if left:
            self._lost += 1
        return len(text)

    def _confession(self) -> bytes:
        if not self._lost:
            return b""
        text = f"process {os.getpid()} dropped {self._lost} texts of this log: nobody read it"
        return own_line("taskmesh worker", text).encode()


def _write(fd: int, data: bytes, patience_s: float) -> int:
    """Write what there is room for, and return how much that was.

    Raises:
        OSError: The descriptor takes nothing.
    """
    kind = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or stat.S_ISCHR(kind)):
        return _write_whole(fd, data)
    own = _opened_anew(fd) if stat.S_ISFIFO(kind) else -1
    until_s = time.monotonic() + patience_s
    written = 0
    try:
        while written < len(data) and _has_room(fd, until_s - time.monotonic()):
            try:
                written += _put(own, fd, data[written:])
            except BlockingIOError:
                continue  # others were faster
    finally:
        if own >= 0:
            os.close(own)
    return written


def _write_whole(fd: int, data: bytes) -> int:
    written = 0
    while written < len(data):
        written += os.write(fd, data[written:])
    return written


def _opened_anew(fd: int) -> int:
    """Open a pipe once more, for writing without waiting: the flag of `fd` itself would be for others, too.

    Returns:
        The new descriptor; -1 where the system cannot do it.
    """
    if sys.platform != "linux":
        return -1
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1  # no /proc, another account's pipe, too many files


def _has_room(fd: int, patience_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(max(0.0, patience_s) * 1000))


def _put(own: int, fd: int, data: bytes) -> int:
    """Write some of it; with no descriptor of our own as much as is certainly taken at once."""
    return os.write(own, data) if own >= 0 else os.write(fd, data[: select.PIPE_BUF])


def brief_stderr() -> BriefStream | None:
    """Return a stream to standard error that waits no longer; None where something else stands in its place."""
    own = sys.__stderr__
    if own is None or sys.stderr is not own:
        return None
    return BriefStream(own.fileno())
