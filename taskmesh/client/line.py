"""Who reads the connection for everybody, and who is parked meanwhile: a leader and followers.

Whoever leads wakes those alone whose wait is over. When he leaves, in whatever way, he hands the lead to the next
in line.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskmesh.client.waiter import Waiter


class Line:
    """The line of those who wait at one inbox.

    Attributes:
        lock: Guards the line. Reentrant, so that a signal handler may wait for a result, too.
        parked: Who is parked, with what ends his wait.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.parked: dict[Waiter, Callable[[], bool]] = {}
        # Weak: one that was interrupted on its way out, and did not hand over, leads no longer.
        self._leader: weakref.ref[Waiter] | None = None

    @property
    def leader(self) -> Waiter | None:
        """Who leads."""
        leader = self._leader
        return leader() if leader is not None else None

    def take_part(
        self, waiter: Waiter, until_s: float, enough: Callable[[], bool], lead: Callable[[], None]
    ) -> None:
        """Lead, or be parked and perhaps lead then.

        Args:
            waiter: Who waits.
            until_s: When he stops being parked, by the monotonic clock.
            enough: Whether his wait is over; called by whoever leads.
            lead: Reads for everybody.
        """
        before = None
        try:
            with self.lock:
                before = self.leader
                # The same thread leads already: this is a signal handler, and that wait cannot go on until it
                # returns.
                if before is None or before.thread == waiter.thread:
                    self._leader = weakref.ref(waiter)
                else:
                    before = None
                    self.parked[waiter] = enough
            # looked at once more, now that the leader knows of this one: what he put in before, he does not tell
            if self.leader is not waiter and not enough():
                waiter.bell.acquire(timeout=max(0.0, until_s - time.monotonic()))
            if self.leader is waiter and not enough():
                lead()
        finally:
            with self.lock:
                self.parked.pop(waiter, None)
                waiter.bell.acquire(blocking=False)
                if self.leader is waiter:
                    self._leader = weakref.ref(before) if before is not None else self._next()

    def _next(self) -> weakref.ref[Waiter] | None:
        for waiter in self.parked:
            self._wake(waiter)
            return weakref.ref(waiter)
        return None

    def _wake(self, waiter: Waiter) -> None:
        """Ring once: who was rung is not parked any more."""
        del self.parked[waiter]
        waiter.bell.release()

    def wake_satisfied(self) -> None:
        """Wake those whose wait is over."""
        with self.lock:
            for waiter, enough in list(self.parked.items()):
                if enough():
                    self._wake(waiter)

    def wake_all(self) -> None:
        """Wake everybody."""
        with self.lock:
            for waiter in list(self.parked):
                self._wake(waiter)
