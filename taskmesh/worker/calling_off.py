"""Has children that run many messages at once call off single runs, and says which of these do not heed it.

A child is told by a slip in the page, and woken. Before it says that it has read that, it notes in the page by when the
run must have ended, as for a hard limit. A child that reads nothing, since its interpreter is held, is ended, too.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from dataclasses import dataclass
from math import inf

from taskmesh.worker.page import Page, Slip
from taskmesh.worker.termination import Termination

log = logging.getLogger("taskmesh.worker")

#: A child that has not read what it was told after so long is ended.
READ_S = 2.0
#: Runs that were called off of which it is remembered who wanted that.
REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Told:
    number: int
    until_s: float
    order: Termination


class CallingOff:
    """What one child was told to call off."""

    def __init__(self) -> None:
        """Prepare; it was told nothing yet."""
        self._senders: OrderedDict[tuple[int, int], str] = OrderedDict()
        self._unread: deque[_Told] = deque()

    def tell(self, page: Page, place: int, order: Termination, position: int, now_s: float) -> bool:
        """Tell the child of a run, and return whether it could be: it may have too much to read.

        Args:
            page: Shared with it.
            place: Its place.
            order: What is wanted.
            position: Of the message in its claim.
            now_s: Now, on the monotonic clock.
        """
        run = order.claim, position
        if run in self._senders:
            return True
        number = page.write_slip(place, Slip(order.claim, position, order.sender))
        if not number:
            return False
        self._senders[run] = order.sender
        if len(self._senders) > REMEMBERED_MAX:
            self._senders.popitem(last=False)
        self._unread.append(_Told(number, now_s + READ_S, order))
        return True

    def sender(self, sequence: int, position: int) -> str | None:
        """Return who had a run called off; None if nobody did."""
        return self._senders.get((sequence, position))

    def next_s(self) -> float:
        """Return when `overdue` may have something; infinity if nothing was told."""
        return self._unread[0].until_s if self._unread else inf

    def overdue(self, page: Page, place: int, now_s: float) -> Termination | None:
        """Return what the child should have read by now and has not; it is returned once."""
        read = page.slips_read(place) if self._unread else 0
        while self._unread and self._unread[0].number <= read:
            self._unread.popleft()
        if self._unread and now_s >= self._unread[0].until_s:
            return self._unread.popleft().order
        return None
