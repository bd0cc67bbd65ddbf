"""The broker of `taskmesh scheduler`: a thread that looks whether it answers, and says so once each time that changes.

The scheduler goes on without: it needs the nodes. Whoever leads looks at the broker anyway, and only for queues that
have work; this is for those who stand by, and for people, who are to know before the lead is theirs.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from taskmesh.errors import BrokerRefused, BrokerUnavailable

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker

log = logging.getLogger("taskmesh.scheduler")

#: How often it looks. Each look holds up to some seconds at a broker that is away.
LOOK_S = 5.0


class SchedulerBroker:
    """How the broker of one scheduler is.

    Attributes:
        trouble: Why it cannot be used; empty while all is well.
    """

    def __init__(self, broker: Broker, queue: str, name: str, look_s: float = LOOK_S) -> None:
        """Prepare; `start` begins.

        Args:
            broker: Of the mesh.
            queue: By which it is seen whether the broker answers: its tickets are counted.
            name: Of the scheduler.
            look_s: How often to look.
        """
        self._broker = broker
        self._queue = queue
        self._name = name
        self._look_s = look_s
        self.trouble = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="taskmesh-broker", daemon=True)

    def start(self) -> Self:
        """Look for the first time, have a thread go on, and return this."""
        self.look()
        self._thread.start()
        return self

    def stop(self) -> None:
        """Look no more; a look that is under way ends by itself."""
        self._stopping.set()

    def remarks(self) -> list[str]:
        """Return what is to be known of a scheduler that is ready all the same."""
        if not self.trouble:
            return []
        return [f"the broker is away, so tasks begin up to some seconds later: {self.trouble}"]

    def look(self) -> None:
        """See whether the broker answers, and say so if that has changed."""
        trouble = self._ask()
        if trouble and not self.trouble:
            log.warning(
                "%s; scheduler %s goes on without it, fires schedules, and goes on trying: meanwhile nobody sees which "
                "queues lack tickets, and tasks begin a little later",
                trouble,
                self._name,
            )
        elif self.trouble and not trouble:
            log.info(
                "broker %s is back: scheduler %s sees which queues lack tickets",
                self._broker.shown,
                self._name,
            )
        self.trouble = trouble

    def _ask(self) -> str:
        try:
            # it counts by a connection that lasts; what is wrong is told by one of its own
            if self._broker.waiting(self._queue) is None:
                self._broker.check()
        except (BrokerRefused, BrokerUnavailable) as error:
            return str(error)
        return ""

    def _run(self) -> None:
        while not self._stopping.wait(self._look_s):
            try:
                self.look()
            except Exception:
                # of a broker's library: the next look may fare better
                log.exception("scheduler %s met an error at its broker that nobody expected", self._name)
