"""How callers announce without waiting: a thread of each process sends tickets, and makes one of many while it does.

The thread is started by the first announcement. A broker that is away costs callers nothing: what they announce is
counted, and sent when it is back. What is still unsent at the end of a process is left to the leader, who looks for
queues that have work and no tickets.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable

from taskmesh.broker.contract import TICKETS_MAX
from taskmesh.broker.line import Line
from taskmesh.errors import BrokerRefused, BrokerUnavailable

log = logging.getLogger("taskmesh.broker")

#: How long a broker that is away is left alone: twice as long each time, from the first to the second.
AGAIN_S, AGAIN_S_MAX = 0.2, 10.0
#: And one that answers and refuses, which somebody has to mend.
REFUSED_AGAIN_S = 30.0
#: How long a round rests for each ticket that it sent, and at most: under load fewer tickets say the same.
REST_S, REST_S_MAX = 0.001, 0.02
#: How long the end of a process waits for what is unsent.
AT_EXIT_S = 1.5
_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


class Publisher:
    """Announces for all threads of a process."""

    def __init__(self, make_line: Callable[[], Line], shown: str) -> None:
        """Prepare; no thread is started and nothing connected.

        Args:
            make_line: Makes the connection.
            shown: Where the broker is, for people.
        """
        self._make_line = make_line
        self._line: Line | None = None
        self._shown = shown
        self._begin()
        _publishers.add(self)

    def _begin(self) -> None:
        # a signal handler may announce while it is held
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._sent = threading.Condition(self._lock)
        self._counts: dict[str, int] = {}
        self._is_sending = False
        self._thread: threading.Thread | None = None
        self._trouble = self._told = ""

    @property
    def trouble(self) -> str:
        """Why nothing can be sent just now; empty while all is well."""
        return self._trouble

    def announce(self, queue: str, count: int) -> None:
        """Have a queue's workers told, soon."""
        with self._lock:
            before = self._counts.get(queue, 0)
            self._counts[queue] = min(before + count, TICKETS_MAX)
            if self._thread is None:
                self._start()
            elif not before:
                self._news.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="taskmesh broker: tickets", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # a container has a limit, or the interpreter ends: what is recorded must not look as if it were not
            self._tell(error)
        else:
            self._thread = thread

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is sent, and tell whether it is."""
        until_s = time.monotonic() + timeout_s
        with self._lock:
            while self._counts or self._is_sending:
                left_s = until_s - time.monotonic()
                if left_s <= 0 or self._thread is None:
                    return False
                self._sent.wait(left_s)
            return True

    def _flush_while_well(self, timeout_s: float) -> bool:
        """As `flush`, but do not wait for a broker that is known to be away."""
        until_s = time.monotonic() + timeout_s
        while not self.flush(min(0.05, max(0.0, until_s - time.monotonic()))):
            if self._trouble or time.monotonic() >= until_s or self._thread is None:
                return False
        return True

    def close(self, timeout_s: float = AT_EXIT_S) -> None:
        """Send what is unsent, for a while, and end the thread; it can be used again."""
        until_s = time.monotonic() + timeout_s
        if not self._flush_while_well(timeout_s):
            with self._lock:
                queues, self._counts = sorted(self._counts), {}
            log.warning(
                "broker %s was not told of work in %s%s; the leader will see it there",
                self._shown,
                ", ".join(queues) or "some queues",
                # as a rule it has just been told
                f" ({self._trouble})" if self._trouble not in ("", self._told) else "",
            )
        with self._lock:
            thread, self._thread = self._thread, None
            # what it still has under way is its own affair: whoever flushes next asks for what comes after
            self._is_sending = False
            self._news.notify_all()
        if thread is not None:
            thread.join(max(0.1, until_s - time.monotonic()))

    # -- the thread ---------------------------------------------------------------

    def _run(self) -> None:
        line = self._line = self._make_line()
        again_s = AGAIN_S
        while (counts := self._take(line)) is not None:
            try:
                line.connect()
                if counts:
                    line.publish(counts)
                else:
                    line.beat()
            except (BrokerRefused, BrokerUnavailable) as error:
                line.close()
                self._put_back(counts)
                self._tell(error)
                self._pause(REFUSED_AGAIN_S if isinstance(error, BrokerRefused) else again_s)
                again_s = min(2 * again_s, AGAIN_S_MAX)
            except Exception:
                # the edge of the thread: without it nothing would ever be announced again
                log.exception("announcing to broker %s failed", self._shown)
                line.close()
                self._put_back(counts)
                self._pause(AGAIN_S_MAX)
            else:
                again_s = AGAIN_S
                self._done()
                self._pause(min(REST_S * sum(counts.values()), REST_S_MAX))
        line.close()

    @property
    def _is_ending(self) -> bool:
        return self._thread is not threading.current_thread()

    def _take(self, line: Line) -> dict[str, int] | None:
        """Wait for something to send, or for the time to beat (nothing), or the end (None)."""
        with self._lock:
            if not self._counts and not self._is_ending:
                self._news.wait(line.beat_s if line.is_open else None)
            if self._is_ending:
                return None
            counts, self._counts = self._counts, {}
            self._is_sending = bool(counts)
            return counts

    def _put_back(self, counts: dict[str, int]) -> None:
        with self._lock:
            for queue, count in counts.items():
                self._counts[queue] = min(self._counts.get(queue, 0) + count, TICKETS_MAX)
            self._sends_no_more()

    def _done(self) -> None:
        with self._lock:
            self._sends_no_more()
            self._sent.notify_all()
        if self._trouble:
            log.info("broker %s is told of work again", self._shown)
            self._trouble = self._told = ""

    def _sends_no_more(self) -> None:
        # one that was left while it hung says nothing of what its successor sends
        if not self._is_ending:
            self._is_sending = False

    def _tell(self, error: Exception) -> None:
        if not self._trouble:
            self._told = str(error)
            log.warning(
                "nobody can be told of work just now, which is recorded all the same and begins a little later. "
                "Trying again: %s",
                error,
            )
        self._trouble = str(error)

    def _pause(self, seconds: float) -> None:
        """Rest, but not at the end."""
        until_s = time.monotonic() + seconds
        with self._lock:
            while not self._is_ending and (left_s := until_s - time.monotonic()) > 0:
                self._news.wait(left_s)

    def forked(self) -> None:
        """Begin anew in a process that was forked: the thread, the connection and what was unsent are its parent's."""
        line, self._line = self._line, None
        if line is not None:
            line.abandon()
        self._begin()


def _at_exit() -> None:
    for publisher in list(_publishers):
        publisher.close()


def _after_fork() -> None:
    for publisher in list(_publishers):
        publisher.forked()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
