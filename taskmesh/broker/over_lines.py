"""A broker made of lines: one on which callers announce, one on which tickets are counted, and one for each worker."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence

from taskmesh.broker.line import Line
from taskmesh.broker.listener import LineTickets
from taskmesh.broker.publisher import Publisher
from taskmesh.errors import BrokerRefused, BrokerUnavailable

log = logging.getLogger("taskmesh.broker")

#: How long nobody tries to count again after that failed.
COUNT_AGAIN_S = 3.0
_brokers: weakref.WeakSet[LineBroker] = weakref.WeakSet()


class LineBroker:
    """See `Broker`."""

    def __init__(self, make_line: Callable[[], Line], shown: str) -> None:
        """Prepare; nothing is connected.

        Args:
            make_line: Makes one connection.
            shown: Where the broker is, for people.
        """
        self.shown = shown
        self._make_line = make_line
        self._publisher = Publisher(make_line, shown)
        self._asking = make_line()
        self._asking_lock = threading.Lock()
        self._count_at_s = 0.0
        _brokers.add(self)

    def announce(self, queue: str, count: int = 1) -> None:
        """Say that messages were recorded; returns at once."""
        self._publisher.announce(queue, count)

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was announced has reached the broker, and tell whether it has."""
        return self._publisher.flush(timeout_s)

    def listen(self, queues: Sequence[str]) -> LineTickets:
        """Return what a worker hears of these queues."""
        return LineTickets(self._make_line, queues)

    def waiting(self, queue: str) -> int | None:
        """Return how many tickets of a queue wait; None if nobody can tell just now."""
        with self._asking_lock:
            if time.monotonic() < self._count_at_s:
                return None
            was_open = self._asking.is_open
            try:
                return self._count(queue)
            except (BrokerRefused, BrokerUnavailable) as error:
                failed = error
            if was_open:  # it may have been closed for want of use
                try:
                    return self._count(queue)
                except (BrokerRefused, BrokerUnavailable) as error:
                    failed = error
            self._note_failed(failed)
            return None

    def _count(self, queue: str) -> int:
        self._asking.connect()
        self._asking.beat()
        return self._asking.waiting(queue)

    def _note_failed(self, error: BrokerRefused | BrokerUnavailable) -> None:
        """Rest. A worker's ear, or the look of a scheduler, says that the broker is away, and when it is back."""
        self._count_at_s = time.monotonic() + COUNT_AGAIN_S
        log.debug("it cannot be seen which queues lack tickets: %s", error)

    def check(self, queues: Sequence[str] = ()) -> None:
        """Connect, and declare queues, to see that it can be done.

        Raises:
            BrokerRefused: It answers and does not let us.
            BrokerUnavailable: It does not answer.
        """
        line = self._make_line()
        try:
            line.connect()
            line.declare(queues)
        finally:
            line.close()

    def close(self) -> None:
        """Flush for a second or two, and close connections."""
        self._publisher.close()
        with self._asking_lock:
            self._asking.close()

    def forked(self) -> None:
        """Begin anew in a process that was forked."""
        self._asking_lock = threading.Lock()
        self._asking.abandon()


def _after_fork() -> None:
    for broker in list(_brokers):
        broker.forked()


os.register_at_fork(after_in_child=_after_fork)
