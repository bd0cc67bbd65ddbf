"""How running tasks speak with the mesh: what they tell of themselves, and whether they are to be revoked.

A contact is opened when a task first asks or tells. Writes are at most ten a second; what comes faster waits for its
turn, and the last always gets through, unless the end of the message comes before.
"""

from __future__ import annotations

import logging
import threading
import time

from taskmesh.codec.telling import Telling, encode_telling, with_progress, with_state
from taskmesh.core.context import Running
from taskmesh.errors import NodeFault, NodeUnavailable, StaleView
from taskmesh.nodes.link import Link
from taskmesh.queue.telling import is_revoked, note_telling

log = logging.getLogger("taskmesh.worker")

#: What a task tells is written so often at most.
TELLING_S = 0.1
#: What could not be written is tried again after so long.
AGAIN_S = 1.0
#: The node is asked so often at most whether a message is revoked.
REVOKED_S = 0.2
_TROUBLE = (NodeUnavailable, NodeFault, StaleView)


class Contacts:
    """Opens the contacts of one process."""

    def __init__(self, link: Link) -> None:
        """Prepare."""
        self._link = link
        self._opening = threading.Lock()

    def open(self, running: Running) -> WorkerContact:
        """Return the contact of a run, which may be asked for by several threads at once."""
        with self._opening:
            if not isinstance(running.contact, WorkerContact):
                running.contact = WorkerContact(self._link, running.task_id, running.token)
            return running.contact


class WorkerContact:
    """The contact of one run. Safe to share between threads."""

    def __init__(self, link: Link, task_id: str, token: str) -> None:
        """Prepare; nothing is asked or told yet."""
        self._link = link
        self._id = task_id
        self._token = token
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._telling = Telling(task_id, token)
        self._is_fresh = False
        self._written_s = 0.0
        self._timer: threading.Timer | None = None
        self._is_closed = False
        self._revoked = False
        self._asked_s = 0.0

    # -- asking -------------------------------------------------------------------

    def is_revoked(self) -> bool:
        """Tell whether somebody revoked the message, as of at most 0.2 s ago."""
        with self._lock:
            now_s = time.monotonic()
            if self._revoked or now_s - self._asked_s < REVOKED_S:
                return self._revoked
            self._asked_s = now_s
        try:
            self._revoked = self._link.run(is_revoked(self._link.session, self._id, self._token))
        except _TROUBLE as error:
            log.debug("nobody can say whether task %s is revoked: %s", self._id, error)
        return self._revoked

    # -- telling ------------------------------------------------------------------

    def report_progress(self, done: float, total: float | None, note: str | None) -> None:
        """Tell how far the task is."""
        with self._lock:
            self._tell(with_progress(self._telling, done, total, note))
        self._write_if_due()

    def update_state(self, state: str | None, meta: object) -> None:
        """Tell what to show as the state, and facts."""
        with self._lock:
            self._tell(with_state(self._telling, state, meta))
        self._write_if_due()

    def _tell(self, telling: Telling) -> None:
        self._telling = telling
        self._is_fresh = True

    def _write_if_due(self) -> None:
        with self._lock:
            if self._is_closed or self._timer is not None:
                return  # what has been told goes with the next turn
            wait_s = self._written_s + TELLING_S - time.monotonic()
            if wait_s > 0:
                self._write_after(wait_s)
                return
        self._write()

    def _write_after(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._write)
        self._timer.daemon = True
        self._timer.start()

    def _write(self) -> None:
        """Write the newest telling; one at a time, so that none overtakes another."""
        with self._sending:
            with self._lock:
                self._timer = None
                if self._is_closed or not self._is_fresh:
                    return
                self._is_fresh = False
                self._written_s = time.monotonic()
                wire = encode_telling(self._telling, self._link.tellings)
            try:
                counts = self._link.run(note_telling(self._link.session, self._id, self._token, wire))
            except _TROUBLE as error:
                log.debug("what task %s tells cannot be written yet: %s", self._id, error)
                with self._lock:
                    self._is_fresh = True
                    if not self._is_closed and self._timer is None:
                        self._write_after(AGAIN_S)
                return
            if not counts:
                self.close()  # its lease is lost: nothing that it tells counts any more

    def close(self) -> None:
        """Stop telling: the run is over, and its outcome says more."""
        with self._lock:
            self._is_closed = True
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
