"""What the clock of a node says, without asking each time."""

from __future__ import annotations

import time
from time import monotonic

#: A reading that took longer tells too little to be taken for the middle of that time.
SLOW_S = 0.05


class NodeClock:
    """The node's wall clock as measured, advanced by this process's monotonic clock; never goes back."""

    __slots__ = ("_last_ms", "_offset_s")

    def __init__(self) -> None:
        """Start from this machine's own wall clock until the node's is measured."""
        self._offset_s = time.time() - monotonic()
        self._last_ms = 0

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        now = int((monotonic() + self._offset_s) * 1000)
        if now < self._last_ms:
            return self._last_ms
        self._last_ms = now
        return now

    def measured(self, node_time_s: float, asked_s: float, answered_s: float) -> None:
        """Take over a reading of the node's clock, made between two readings of the monotonic one.

        One that took long, since somebody stood still meanwhile, only says within which bounds the offset is.
        """
        if answered_s - asked_s > SLOW_S:
            self._offset_s = min(max(self._offset_s, node_time_s - answered_s), node_time_s - asked_s)
        else:
            self._offset_s = node_time_s - (asked_s + answered_s) / 2
