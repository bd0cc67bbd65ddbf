"""A worker's ear at a broker: a thread of its supervisor, so no task can keep it from the broker's heartbeats.

A ticket is taken only while a child waits for work. For each the nodes give what is ready to such children; then it
is acknowledged. One for which there is work and no child is left to others at once, so no busy worker holds any. Busy
children go on claiming without tickets, and idle ones look by themselves each second: without the broker work starts
later, and none is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from taskmesh.broker.contract import Broker, Ticket, Tickets
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.worker.ticket_giving import Giving
from taskmesh.worker.ticket_silence import Silence

log = logging.getLogger("taskmesh.worker")

#: How often to see whether a child waits, while none does.
LOOK_S = 0.01
#: For so long after the last child has begun something the consumer stays: a brief task is over by then, and to cancel
#: and to begin again takes two round trips. A ticket that comes meanwhile is left to others all the same.
BREATH_S = 0.1
#: How long to wait for a ticket in one go.
HEAR_S = 1.0
#: How long tickets are left to others, at first and at most, where no child waits after all.
LEAVE_S_MIN, LEAVE_S_MAX = 0.05, 1.0
#: How long the end may take.
END_S = 3.0


class Children(Protocol):
    """Those of one life of a worker.

    Attributes:
        size: How many there are to be.
    """

    size: int

    def count_waiting(self) -> int:
        """Return how many wait to be woken; any thread may ask."""


class TicketLine:
    """The thread. It belongs to one life of a worker."""

    def __init__(
        self,
        broker: Broker,
        tickets: Tickets,
        giving: Giving,
        queues: Sequence[str],
        *,
        worker: str,
        children: Children,
        tell: Callable[[str], None] = lambda _trouble: None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            broker: Which.
            tickets: What it tells of the queues; this thread's own from now on.
            giving: Gives what is ready.
            queues: Of which it hears.
            worker: Its name.
            children: Who are woken. For each one ticket may be taken and not settled.
            tell: Told why nothing can be heard, and with an empty text that it can again.
        """
        self._broker = broker
        self._tickets = tickets
        self._giving = giving
        self._queues = tuple(queues)
        self._worker = worker
        self._children = children
        self._at_once = 1
        self._tell = tell
        self._stopping = threading.Event()
        self._closing = threading.Lock()
        self._is_closed = False
        self._silence = Silence()
        self._is_consuming = False
        self._trouble: str | None = None
        self._leave_s = 0.0
        self._waited_s = 0.0
        self._thread = threading.Thread(target=self._run, name="taskmesh-tickets", daemon=True)

    def start(self) -> Self:
        """Begin, and return this."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Begin to end: take no more, and leave to others what was taken."""
        self._stopping.set()
        with self._closing:
            if not self._is_closed:
                self._tickets.nudge()

    def join(self) -> None:
        """End, and wait for that. What a connection holds that does not end is given back when the broker misses it."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(END_S)

    # -- the thread ---------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._turn()
                except Exception:
                    # a worker that lives must not stop listening, whatever a broker's library raises
                    log.exception("worker %s met an error at its broker that nobody expected", self._worker)
                    self._stopping.wait(LEAVE_S_MAX)
                    self._renew()
        finally:
            self._close()

    def _turn(self) -> None:
        """Take tickets while a child waits, and a little longer; else wait for one that does."""
        now_s, waits = time.monotonic(), self._children.count_waiting() > 0
        if waits:
            self._waited_s = now_s
        elif not self._is_consuming or now_s - self._waited_s > BREATH_S:
            self._cancel()
            self._tickets.next(LOOK_S)  # which tells the broker meanwhile that it lives
            return
        if not self._is_consuming:
            self._at_once = max(1, self._children.size)
            self._tickets.consume(self._at_once)
            self._is_consuming = True
        ticket = self._tickets.next(HEAR_S if waits else BREATH_S)
        self._note_trouble()
        if ticket is None:
            if waits:
                self._doubt(time.monotonic() - now_s)
            return
        self._silence.heard()
        self._serve(self._at_hand(ticket))

    def _cancel(self) -> None:
        if self._is_consuming:
            self._is_consuming = False
            self._tickets.cancel()

    def _close(self) -> None:
        with self._closing:
            self._is_closed = True  # nobody nudges what is closed
        try:
            self._tickets.close()
        except Exception:
            # the broker gives back what this connection held, once it is gone with the process
            log.exception("worker %s could not leave its broker in order", self._worker)

    def _renew(self) -> None:
        """Have a new connection; what was taken by the old one goes back."""
        try:
            self._tickets.renew()
        except Exception:
            log.exception("worker %s cannot connect to its broker anew", self._worker)

    # -- tickets ------------------------------------------------------------------

    def _at_hand(self, first: Ticket) -> dict[str, list[Ticket]]:
        """Return what has come so far, by queue: of many for a queue one question is enough."""
        found = {first.queue: [first]}
        for _ in range(self._at_once - 1):
            ticket = self._tickets.next(0)
            if ticket is None:
                break
            found.setdefault(ticket.queue, []).append(ticket)
        return found

    def _serve(self, found: dict[str, list[Ticket]]) -> None:
        """Have work given for tickets, and settle them."""
        left: list[Ticket] = []
        has_given = False
        for queue, tickets in found.items():
            count = self._give(queue, len(tickets))
            has_given = has_given or count > 0
            for ticket in tickets[:count]:
                self._tickets.acknowledge(ticket)
            left += tickets[count:]
        if has_given or not left:
            self._leave_s = 0.0
        if left:
            self._leave_to_others(left, at_once=has_given)

    def _give(self, queue: str, tickets: int) -> int:
        """Have work given for so many tickets of a queue, and return how many are done with."""
        try:
            given = self._giving.give(queue, tickets)
        except (NodeUnavailable, NodeFault) as error:
            log.warning("a ticket for queue %s waits: %s", queue, error)
            return 0
        # with nothing left somebody else was faster
        return min(tickets, given.woken) if given.is_left else tickets

    def _leave_to_others(self, tickets: list[Ticket], *, at_once: bool) -> None:
        """Put tickets back, not to this worker: it takes none until a child waits, and some time has passed.

        Args:
            tickets: Which.
            at_once: Whether they are taken again as soon as a child waits.
        """
        self._cancel()
        for ticket in tickets:
            self._tickets.put_back(ticket)
        if not at_once:
            self._leave_s = min(LEAVE_S_MAX, max(LEAVE_S_MIN, 2 * self._leave_s))
            self._stopping.wait(self._leave_s)

    # -- the broker ---------------------------------------------------------------

    def _note_trouble(self) -> None:
        """Tell what is wrong whenever that changes; say once that the broker is away, and once that it is back."""
        trouble = self._tickets.trouble
        if trouble == self._trouble:
            return
        if bool(trouble) != bool(self._trouble):
            if trouble:
                log.warning(
                    "worker %s hears nothing of its broker: %s; its children look by themselves each second",
                    self._worker,
                    trouble,
                )
            else:
                log.info("worker %s hears of its broker again", self._worker)
        self._trouble = trouble
        self._tell(trouble)

    def _doubt(self, waited_s: float) -> None:
        """Connect anew when nothing is heard for long though the broker has tickets and children wait."""
        if self._trouble:
            self._silence.heard()  # it is known to be away, and what comes after that begins anew
            return
        if not self._silence.lasts(waited_s):
            return
        waiting = [queue for queue in self._queues if self._broker.waiting(queue)]
        if self._silence.is_deaf(tickets_wait=bool(waiting)):
            log.warning(
                "worker %s hears nothing though tickets wait at %s for %s: it connects anew",
                self._worker,
                self._broker.shown,
                ", ".join(waiting),
            )
            self._renew()
