"""What a worker hears of a broker, over one line that is made anew whenever it is lost."""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskmesh.broker.contract import Ticket
from taskmesh.broker.line import Line
from taskmesh.broker.readable import readable
from taskmesh.errors import BrokerRefused, BrokerUnavailable

#: How long a broker that is away is left alone: twice as long each time, from the first to the second.
AGAIN_S, AGAIN_S_MAX = 0.2, 5.0
#: And one that answers and refuses, which somebody has to mend.
REFUSED_AGAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class _Tag:
    """Which ticket is meant: by which of the connections it came, and how that one knows it."""

    connection: int
    tag: Any = field(repr=False)


class LineTickets:
    """See `Tickets`."""

    def __init__(self, make_line: Callable[[], Line], queues: Sequence[str]) -> None:
        """Prepare; nothing is connected.

        Args:
            make_line: Makes the connection.
            queues: Of which queues to hear.
        """
        self._line = make_line()
        self._queues = tuple(queues)
        self._at_once = 0
        self._is_consuming = False
        self._connection = 0
        self._heard: deque[Ticket] = deque()
        self._trouble = ""
        self._again_s = AGAIN_S
        self._connect_at_s = 0.0
        self._beat_at_s = 0.0
        self._wakeup, self._nudge = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._nudge, False)
        # one that is only looked at must not keep them
        self._close_pipe = weakref.finalize(self, _close, self._wakeup, self._nudge)

    @property
    def trouble(self) -> str:
        """Why nothing can be heard just now; empty while all is well."""
        return self._trouble

    # -- taking and leaving -------------------------------------------------------

    def consume(self, at_once: int) -> None:
        """Take tickets from now on, so many at once."""
        if at_once != self._at_once:
            self.cancel()
            self._at_once = at_once

    def cancel(self) -> None:
        """Take no more, and give back what was delivered and not returned yet."""
        self._at_once = 0
        if self._is_consuming:
            self._is_consuming = False
            self._try(self._line.cancel)
        heard, self._heard = self._heard, deque()
        for ticket in heard:
            self.put_back(ticket)

    def next(self, timeout_s: float) -> Ticket | None:
        """Wait for a ticket; None if none came, `nudge` was called, or the broker is away."""
        until_s = time.monotonic() + timeout_s
        while not self._heard:
            now_s = time.monotonic()
            left_s = max(0.0, until_s - now_s)
            if self._is_nudged():
                return None
            if self._line.is_open or (self._at_once and now_s >= self._connect_at_s):
                self._try(lambda: self._hear(until_s))
            else:
                rest_s = min(left_s, self._connect_at_s - now_s) if self._at_once else left_s
                readable(self._wakeup, timeout_s=rest_s)
            if not left_s:
                break
        return self._heard.popleft() if self._heard else None

    def _hear(self, until_s: float) -> None:
        """Listen for a while, after having connected if need be."""
        if not self._line.is_open:
            self._forget()
            self._connection += 1
            self._line.connect()
            self._beat_at_s = time.monotonic() + self._line.beat_s
        if self._at_once and not self._is_consuming:
            self._line.consume(self._queues, self._at_once, self._on_ticket)
            self._is_consuming = True
            self._trouble, self._again_s = "", AGAIN_S
        self._line.wait(max(0.0, min(until_s - time.monotonic(), self._beat())), self._wakeup)

    def _forget(self) -> None:
        """Forget what was heard on a connection that is gone: it comes again."""
        self._is_consuming = False
        self._heard.clear()

    def _beat(self) -> float:
        """Beat if it is time to, and return in how many seconds the next beat is due."""
        now_s = time.monotonic()
        if now_s >= self._beat_at_s:
            self._line.beat()
            self._beat_at_s = now_s + self._line.beat_s
        return self._beat_at_s - now_s

    def _on_ticket(self, queue: str, tag: Any) -> None:
        self._heard.append(Ticket(queue, _Tag(self._connection, tag)))

    def _try(self, act: Callable[[], None]) -> None:
        """Do what a broker that is away must not break."""
        try:
            act()
        except (BrokerRefused, BrokerUnavailable) as error:
            self._line.close()
            self._forget()
            self._trouble = str(error)
            lasts = isinstance(error, BrokerRefused)
            self._connect_at_s = time.monotonic() + (REFUSED_AGAIN_S if lasts else self._again_s)
            self._again_s = min(2 * self._again_s, AGAIN_S_MAX)

    # -- settling -----------------------------------------------------------------

    def acknowledge(self, ticket: Ticket) -> None:
        """Be done with a ticket."""
        self._settle(ticket, self._line.acknowledge)

    def put_back(self, ticket: Ticket) -> None:
        """Leave a ticket to others."""
        self._settle(ticket, self._line.put_back)

    def _settle(self, ticket: Ticket, how: Callable[[Any], None]) -> None:
        mark: _Tag = ticket.tag
        if self._line.is_open and mark.connection == self._connection:
            self._try(lambda: how(mark.tag))

    # -- beside that --------------------------------------------------------------

    def renew(self) -> None:
        """Make a new connection and consume again."""
        self._line.close()
        self._forget()
        self._connect_at_s = 0.0

    def nudge(self) -> None:
        """Have `next` return at once."""
        try:
            os.write(self._nudge, b"x")
        except BlockingIOError:
            return  # as many wait to be read as fit

    def _is_nudged(self) -> bool:
        try:
            return bool(os.read(self._wakeup, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Give back what is not settled, and close the connection."""
        self.cancel()
        self._line.close()
        self._close_pipe()


def _close(*files: int) -> None:
    for file in files:
        os.close(file)
