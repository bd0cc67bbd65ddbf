"""One thing that this process holds: a lock, a permit, an election that was won."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.errors import LockError, LockInJeopardy, LockLost

if TYPE_CHECKING:
    from taskmesh.client.sessions import LiveSession

log = logging.getLogger("taskmesh")
#: Told of trouble with what is held: `LockInJeopardy`, then perhaps `LockLost`.
Alarm = Callable[[LockError], object]


class Hold:
    """What was granted once.

    Attributes:
        name: For people: `lock reindex`.
        register: Of the line.
        request: The wish that was granted.
        token: Greater than each that was granted before.
        session: On whose life it depends.
        alarms: Whom to tell of trouble.
        in_block: Whether a `with` block gives it back at its end.
        given_back_by: The transaction that gives it back; empty for none.
    """

    def __init__(
        self,
        name: str,
        register: str,
        request: bytes,
        token: int,
        session: LiveSession,
        alarms: list[Alarm],
    ) -> None:
        """Note what was granted."""
        self.name = name
        self.register = register
        self.request = request
        self.token = token
        self.session = session
        self.alarms = alarms
        self.in_block = False
        self.given_back_by = ""
        self._pid = os.getpid()
        self._lost = ""
        self._in_jeopardy = False

    @property
    def is_ours(self) -> bool:
        """Whether this process got it: one that was forked from it holds nothing."""
        return self._pid == os.getpid()

    def trouble(self) -> LockError | None:
        """Return why it must not be relied on; None while it may."""
        if not self.is_ours:
            return LockLost(
                f"{self.name} is held by process {self._pid}, from which this one was forked", name=self.name
            )
        if self.given_back_by:
            return LockError(
                f"{self.name} with token {self.token} was given back by transaction {self.given_back_by}",
                name=self.name,
            )
        why = self._lost or self.session.lost
        if why:
            return LockLost(f"{self.name} with token {self.token} is lost: {why}", name=self.name)
        left_s = self.session.left_s()
        return None if left_s > 0 else self.jeopardy(left_s)

    def jeopardy(self, left_s: float) -> LockInJeopardy:
        """Return an error that says that the lease is not renewed in time."""
        says = (
            f"it lasts for {left_s:.1f} s more"
            if left_s > 0
            else f"it is over since {-left_s:.1f} s: others may hold it"
        )
        return LockInJeopardy(
            f"the lease of {self.name} with token {self.token} could not be renewed; {says}",
            name=self.name,
            left_s=left_s,
        )

    def lose(self, why: str) -> None:
        """Note that others may have it."""
        if not self._lost:
            self._lost = why
            error = self.trouble()
            if error is not None:
                self._sound(error)

    def renewed(self) -> None:
        """Note that the lease was renewed."""
        self._in_jeopardy = False

    def is_late(self, left_s: float) -> None:
        """Note that the lease should have been renewed by now."""
        if not self._in_jeopardy and not self._lost:
            self._in_jeopardy = True
            self._sound(self.jeopardy(left_s))

    def _sound(self, error: LockError) -> None:
        log.warning("%s", error)
        for alarm in self.alarms:
            # in a thread of its own: the one that renews leases must not wait for it
            threading.Thread(target=_call, args=(alarm, error), name="taskmesh-alarm", daemon=True).start()


def _call(alarm: Alarm, error: LockError) -> None:
    try:
        alarm(error)
    except Exception:
        log.exception("what is to be told of a lock in trouble failed")
