"""Waiting for Ctrl-C or SIGTERM without missing one.

A signal that arrives just before a thread begins to wait for a lock does not wake it, and `threading.Event.wait` waits
for a lock: so signals are waited for by a pipe, into which Python writes each of them.
"""

from __future__ import annotations

import os
import select
import signal
from types import FrameType


class StopSignals:
    """From its making on, signals to stop are heeded by `wait` alone."""

    def __init__(self) -> None:
        """Begin; to be called by the main thread."""
        self._asked = False
        self._heard, written = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def wait(self, within_s: float) -> bool:
        """Wait for a signal to stop, and tell whether one has come since this was made."""
        if not self._asked and select.select([self._heard], [], [], within_s)[0]:
            os.read(self._heard, 4096)
        return self._asked

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
