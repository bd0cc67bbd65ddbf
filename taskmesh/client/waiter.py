"""One wait for outcomes: when to catch up, when to listen, when to look again, when to warn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from taskmesh.core.waiting import who_waits
from taskmesh.errors import NodeUnavailable

if TYPE_CHECKING:
    from taskmesh.client.inbox import Inbox
    from taskmesh.client.result import AsyncResult

log = logging.getLogger("taskmesh")

#: Longest single wait on the connection: how late a wait may notice that another round has begun.
LISTEN_S = 1.0
#: Some of what is waited for is read again so often, whatever was heard: no lost notice can last.
LOOK_AGAIN_S = 10.0
LOOK_AGAIN_MAX = 500
#: When to look first, so that a caller is told soon that nobody serves its queue.
FIRST_LOOK_S = 2.0
#: How long a look may take whose caller does not want to wait at all.
LOOK_ONCE_S = 1.0
#: How long to wait before trying an unreachable node again.
UNREACHABLE_S = 0.1
#: How long one reading of records is tried; it is tried again as long as the wait lasts.
READ_PATIENCE_S = 1.0
#: Shortest patience: a wait whose time is over still gets one honest try.
READ_PATIENCE_S_MIN = 0.05


class Waiter:
    """One wait, which may be continued: what was caught up with stays so.

    Attributes:
        bell: Rung by the leader; locked when it is silent.
        thread: Who waits.
        channels: Channels of other processes that this wait needs.
        unreachable: Why the node could not be reached when last tried; None if it could.
        again_at: When to read again what could not be read of several nodes, by the monotonic clock.
    """

    __slots__ = (
        "__weakref__",
        "_inbox",
        "_look_at",
        "_look_from",
        "_pending",
        "_round",
        "again_at",
        "bell",
        "channels",
        "thread",
        "unreachable",
    )

    def __init__(self, inbox: Inbox, pending: Callable[[], Sequence[AsyncResult[Any]]]) -> None:
        """Begin; `Inbox.waiter` and `Inbox.follow` do it.

        Args:
            inbox: What hears.
            pending: Returns the handles to wait for; those that are settled among them do no harm.
        """
        self._inbox = inbox
        self._pending = pending
        self._round = 0
        self._look_at = time.monotonic() + FIRST_LOOK_S
        self._look_from = 0
        self.bell = threading.Lock()
        self.bell.acquire()
        self.thread = threading.get_ident()
        self.channels: set[bytes] = set()
        self.unreachable: NodeUnavailable | None = None
        self.again_at = inf

    def wait(self, timeout_s: float | None, enough: Callable[[], bool]) -> bool:
        """Wait until `enough()`, and tell whether it is.

        Args:
            timeout_s: How long at most; None for ever; 0 reads the records once, and does not wait.
            enough: Cheap; checked after each thing heard, also by other threads while this one is parked.

        Raises:
            NodeUnavailable: The node is gone for good, or will not have us.
        """
        if enough():
            return True
        inbox = self._inbox
        if timeout_s is not None and timeout_s <= 0:
            self._look_once()
            return enough()
        for handle in self._unsettled()[:1]:
            waiting = who_waits(handle.task)
            if waiting:
                inbox.task_waits(waiting, handle)
        self.thread = threading.get_ident()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._catch_up(deadline)
            if enough():
                return True
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return False
            if now >= self._look_at:
                self._look_again(now, None if deadline is None else deadline - now)
                continue
            until = min(now + LISTEN_S, self._look_at, max(now, self.again_at))
            if deadline is not None and deadline < until:
                until = deadline
            if self._round:
                inbox.listen(self, until, enough)
            else:
                time.sleep(min(UNREACHABLE_S, until - now))
            if enough():
                return True

    def _look_once(self) -> None:
        """Read the records of what is waited for; a node that does not answer soon knows no more than we do."""
        inbox = self._inbox
        try:
            inbox.look(self._unsettled(), LOOK_ONCE_S)
        except NodeUnavailable as error:
            if inbox.is_hopeless(error):
                raise
            self.unreachable = error

    def _unsettled(self) -> list[AsyncResult[Any]]:
        return [handle for handle in self._pending() if not handle.is_settled()]

    def _catch_up(self, deadline: float | None) -> None:
        """Join the present round, unless that is done."""
        inbox = self._inbox
        if self._round and self._round == inbox.round and time.monotonic() < self.again_at:
            if self.channels:
                inbox.still_needed(self.channels)
            return
        left_s = None if deadline is None else max(READ_PATIENCE_S_MIN, deadline - time.monotonic())
        patience_s = READ_PATIENCE_S if left_s is None else min(READ_PATIENCE_S, left_s)
        self._round = 0
        self.again_at, self.unreachable = inf, None
        try:
            self._round = inbox.catch_up(self, self._pending(), patience_s, left_s)
        except NodeUnavailable as error:
            if inbox.is_hopeless(error):
                raise
            self.unreachable = error
            log.debug("cannot listen for results: %s", error)

    def _look_again(self, now: float, left_s: float | None) -> None:
        """Read some of what is waited for, in turn: if any had ended unheard, read all; else, warn if need be.

        Args:
            now: The monotonic clock.
            left_s: How long the caller has; None for ever.
        """
        self._look_at = now + LOOK_AGAIN_S
        unsettled = self._unsettled()
        if not unsettled or not self._round:
            return
        if self._look_from >= len(unsettled):
            self._look_from = 0
        some = unsettled[self._look_from : self._look_from + LOOK_AGAIN_MAX]
        self._look_from += LOOK_AGAIN_MAX
        inbox = self._inbox
        try:
            inbox.look(some, left_s, in_part=True)
        except NodeUnavailable as error:
            if inbox.has_ended:
                raise
            log.debug("cannot look for results: %s", error)
            return
        if any(handle.is_settled() for handle in some):
            self._round = 0
            for handle in unsettled:
                handle.round = 0
            inbox.doubt()
        else:
            inbox.nobody_serves(some)
