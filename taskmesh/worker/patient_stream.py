"""Standard error of a process that must never wait for whoever reads it.

A pipe that nobody reads is full some day, and a write to it then takes for ever: a supervisor that logs would stop
its heartbeat, and others would run again what its children run. So a thread of its own writes, and what it cannot get
rid of is dropped, and counted. The descriptor is not made non-blocking: it is shared with other processes.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
from collections import deque
from threading import Condition, Thread

from taskmesh.worker.own_line import own_line

#: So many texts wait to be written, at most.
WAITING_MAX = 1000
#: How long the last words may take when the process ends.
LAST_WORDS_S = 1.0


class PatientStream(io.TextIOBase):
    """A text stream whose `write` returns at once."""

    def __init__(self, fd: int, waiting_max: int = WAITING_MAX) -> None:
        """Start the thread that writes.

        Args:
            fd: Where to; it is not closed.
            waiting_max: With so many texts waiting, what is written is dropped.
        """
        super().__init__()
        self._fd = fd
        self._waiting_max = waiting_max
        self._waiting: deque[bytes] = deque()
        self._is_writing = False
        self._lost = 0
        self._changed = Condition()
        # signals are for the main thread
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        Thread(target=self._pour, name="taskmesh-log", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def write(self, text: str, /) -> int:
        """Have a text written in its turn, or drop it."""
        with self._changed:
            if len(self._waiting) < self._waiting_max:
                self._waiting.append(text.encode("utf-8", "backslashreplace"))
            else:
                self._lost += 1
            self._changed.notify_all()
        return len(text)

    def finish(self, within_s: float = LAST_WORDS_S) -> bool:
        """Wait until all is written, for so long at most, and tell whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._waiting or self._lost or self._is_writing), within_s
            )

    def _pour(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._lost)
                data = self._waiting.popleft() if self._waiting else self._confession()
                self._is_writing = True
            self._write_whole(data)

    def _confession(self) -> bytes:
        count, self._lost = self._lost, 0
        return own_line("taskmesh worker", f"{count} texts of this log were dropped: nobody read it").encode()

    def _write_whole(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:  # somebody else made it so
                select.select([], [self._fd], [])
            except OSError:
                return  # closed, or on a full disk: there is nowhere to say so


def be_patient() -> PatientStream | None:
    """Make standard error of this process a patient stream, and return it; None if there is no standard error."""
    if sys.stderr is None:
        return None
    stream = PatientStream(sys.stderr.fileno())
    sys.stderr = stream
    return stream
