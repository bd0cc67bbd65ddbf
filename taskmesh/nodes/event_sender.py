"""Tells events from a process: in batches, by a thread that exists only while there is something to tell.

Nobody waits for it, and nothing depends on it. Where more happens than can be told, or no node takes it, events are
lost and counted, and whoever listens is told how many.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskmesh.core import keys
from taskmesh.core.event import GAP, Event, encode_events
from taskmesh.errors import TaskMeshError
from taskmesh.replication.ask import plain

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh")

#: How long an event waits for others, how many travel together, and how many wait at most.
GATHER_S = 0.03
TOGETHER_MAX = 500
WAITING_MAX = 20_000
#: How long one node may take, and how long the thread stays when there is nothing to tell.
NODE_S = 1.0
STAY_S = 5.0
#: How long the end of whoever tells them may take.
FINISH_S = 0.5


def publish_events(link: Link, events: Sequence[Event], *, within_s: float = NODE_S) -> bool:
    """Tell events at the first node that takes them, and return whether one did. Raises nothing of the mesh's.

    Args:
        link: To the mesh, or to one node of it.
        events: What happened.
        within_s: How long one node may take.
    """
    channel = keys.events(link.prefix)
    notice = encode_events(events)
    for node in link.nodes:
        here = link.at(node)
        try:
            here.run(plain(here.session, b"PUBLISH", channel, notice), within_s=within_s)
        except TaskMeshError as error:
            log.debug("%d events could not be told at %s: %s", len(events), node or "the node", error)
        else:
            return True
    return False


class EventSender:
    """Tells events of one process; any thread may add some."""

    def __init__(self, link: Link) -> None:
        """Prepare.

        Args:
            link: To the mesh.
        """
        self._link = link
        self._waiting: deque[Event] = deque()
        self._lost = 0
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False

    def tell(self, event: Event) -> None:
        """Have an event told soon; it is lost where too many wait."""
        with self._lock:
            if self._ended or len(self._waiting) >= WAITING_MAX:
                self._lost += 1
                return
            self._waiting.append(event)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="taskmesh-events", daemon=True)
                self._thread.start()
        self._filled.set()

    def finish(self, within_s: float = FINISH_S) -> None:
        """Tell what waits, and nothing more from then on.

        Args:
            within_s: How long that may take; what has not been told by then is lost.
        """
        with self._lock:
            self._ended = True
            thread = self._thread
        self._filled.set()
        if thread is not None:
            thread.join(within_s)
            with self._lock:
                self._waiting.clear()

    def _run(self) -> None:
        while True:
            self._filled.wait(0.0 if self._ended else STAY_S)
            with self._lock:
                self._filled.clear()
                if not self._waiting:
                    self._thread = None
                    return
                gathers = not self._ended
            if gathers:
                time.sleep(GATHER_S)
            while self._tell_some():
                pass

    def _tell_some(self) -> bool:
        """Tell those that have waited longest; return whether more may wait."""
        with self._lock:
            some = [self._waiting.popleft() for _ in range(min(TOGETHER_MAX, len(self._waiting)))]
            if not some:
                return False  # what is lost is told with what comes next
            lost, self._lost = self._lost, 0
        why = f"{lost} events were not told: too many at once, or no node took them"
        gap = [Event(GAP, some[-1].at_ms, detail=why)] if lost else []
        if not publish_events(self._link, [*some, *gap]):
            with self._lock:
                self._lost += lost + len(some)
        return True
