"""The sessions of this process, one for each length of lease, and the thread that keeps them alive.

The thread starts with the first session and ends with the last: a session that nobody uses any more is kept until its
next renewal, for whoever needs one soon, and is ended then.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.client.hold import Hold
from taskmesh.coordination.acquire import give_back, look
from taskmesh.coordination.ending import Sweep, end
from taskmesh.coordination.lease import safe_until_s
from taskmesh.coordination.means import Means, WaitingSteps
from taskmesh.coordination.session import LATE_PART, RENEW_PART, begin, keep_alive
from taskmesh.errors import AgreementError, TaskMeshError

if TYPE_CHECKING:
    from taskmesh.client.conversing import Conversing

log = logging.getLogger("taskmesh")

#: How often processes that vanished are looked for.
SWEEP_S = 20.0
#: Before something that failed is tried again.
AGAIN_S = 0.5


class LiveSession:
    """A session of this process.

    Attributes:
        id: Of its register.
        ttl_s: Its lease.
        renewed_s: The clock before its counter was last raised with success.
        holds: What depends on it.
        users: How many use it: those who hold, who are getting something, and files that vanish with it.
        files: Registers of those.
        writers: Who writes a file that is to vanish with it, or may have written it, by its register.
        owed: Wishes that must leave their line, where that could not be said yet: register and request.
        lost: Why it is dead; empty while it lives.
        is_troubled: Whether it could not be renewed the last time.
    """

    def __init__(self, id_: bytes, ttl_s: float, now_s: Callable[[], float]) -> None:
        """Note what is about to begin."""
        self.id = id_
        self.ttl_s = ttl_s
        self._now_s = now_s
        self.renewed_s = now_s()
        self.holds: dict[bytes, Hold] = {}
        self.users = 0
        self.files: set[str] = set()
        self.writers: defaultdict[str, set[object]] = defaultdict(set)
        self.owed: dict[tuple[str, bytes], None] = {}
        self.lost = ""
        self.is_troubled = False

    def left_s(self) -> float:
        """Return for how long it may be relied on."""
        return safe_until_s(self.renewed_s, self.ttl_s) - self._now_s()

    @property
    def due_s(self) -> float:
        """When to renew it."""
        return self.renewed_s + self.ttl_s * RENEW_PART

    @property
    def is_late(self) -> bool:
        """Whether it should have been renewed by now."""
        return self._now_s() >= self.renewed_s + self.ttl_s * LATE_PART

    def dies(self, why: str) -> None:
        """Note that it was declared dead."""
        if self.lost:
            return
        self.lost = why
        for hold in list(self.holds.values()):
            hold.lose(why)
        if self.files:
            log.warning("%d ephemeral files of this process are gone: %s", len(self.files), why)


class Sessions:
    """All of this process, for one mesh."""

    def __init__(
        self, process: bytes, owner: str, means: Callable[[], Means], conversing: Conversing
    ) -> None:
        """Prepare.

        Args:
            process: Random id of the process, with which the ids of its sessions begin.
            owner: Who it is, for people.
            means: Returns what conversations need.
            conversing: Has them.
        """
        self._process = process
        self._owner = owner
        self._means = means
        self._conversing = conversing
        self._count = 0
        self._current: dict[float, LiveSession] = {}
        self._all: set[LiveSession] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._sweep = Sweep()
        self._sweep_at_s = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether there is none, and so no thread."""
        return self._thread is None

    # -- for those who need one -------------------------------------------------------

    def use(self, means: Means, ttl_s: float) -> WaitingSteps[LiveSession]:
        """Return a live session with such a lease, and count one more who uses it.

        Raises:
            AgreementError: None could be begun.
        """
        with self._lock:
            session = self._current.get(ttl_s)
            if session is not None and not session.lost and session.left_s() > 0:
                session.users += 1
                return session
            self._count += 1
            id_ = self._process + self._count.to_bytes(4, "big")
        session = LiveSession(id_, ttl_s, means.now_s)
        session.users = 1
        yield from begin(means, session.id, ttl_s, self._owner)
        with self._lock:
            self._current[ttl_s] = session
            self._all.add(session)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="taskmesh-sessions", daemon=True)
                self._thread.start()
        self._wake.set()
        return session

    def owner_of(self, register: str) -> LiveSession | None:
        """Return the session with which a file vanishes, if it is one of this process."""
        return next((session for session in self.living() if register in session.files), None)

    def own(self) -> set[bytes]:
        """Return the sessions of this process."""
        return {session.id for session in self.living()}

    def done(self, session: LiveSession) -> None:
        """Count one less who uses it."""
        with self._lock:
            session.users -= 1

    def owe(self, session: LiveSession, register: str, request: bytes) -> None:
        """Have a wish leave its line, as soon as that can be said."""
        session.owed[register, request] = None
        self._wake.set()

    def renew(self, means: Means, session: LiveSession) -> WaitingSteps[bool]:
        """Raise the counter, and see that what is held is held; False if the session is dead.

        Raises:
            AgreementError: It could not be done now.
        """
        sent_s = means.now_s()
        holds = list(session.holds.values())
        if not (yield from keep_alive(means, session.id)):
            session.dies("its process was not heard of for too long, and was declared dead")
            return False
        session.renewed_s = max(session.renewed_s, sent_s)
        if holds:
            lines = yield from look(means, sorted({hold.register for hold in holds}))
            for hold in holds:
                if lines[hold.register].holder(hold.request) is not None:
                    hold.renewed()
                elif session.holds.get(hold.request) is hold:
                    hold.lose("it was taken away by `taskmesh lock break`")
        return True

    # -- the thread -------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            try:
                wait_s = self._round()
            except Exception:
                # whatever it is: leases of others must not end with this thread
                log.exception("leases could not be renewed")
                wait_s = AGAIN_S
            with self._lock:
                if not self._all:
                    self._thread = None
                    return
            self._wake.wait(wait_s)
            self._wake.clear()

    def _round(self) -> float:
        """Do what is due, and return in how many seconds something is again."""
        means = self._means()
        again_s = SWEEP_S
        for session in self.living():
            again_s = min(again_s, self._conversing.run(self.attend(means, session)))
        if means.now_s() >= self._sweep_at_s:
            self._sweep_up(means)
        return again_s

    def living(self) -> list[LiveSession]:
        """Return those that are kept alive."""
        with self._lock:
            return list(self._all)

    def attend(self, means: Means, session: LiveSession) -> WaitingSteps[float]:
        """Do what is due for a session, and return in how many seconds something is again."""
        try:
            if means.now_s() >= session.due_s:
                if self._retire(session):
                    yield from end(means, session.id)
                    return SWEEP_S
                if not (yield from self.renew(means, session)):
                    self._forget(session)
                    return SWEEP_S
        except TaskMeshError as error:
            log.log(
                logging.DEBUG if session.is_troubled else logging.WARNING,
                "session %s could not be renewed; trying again. %s",
                session.id.hex(),
                error,
            )
            session.is_troubled = True
        else:
            session.is_troubled = False
            # after what is renewed: one line that cannot be left must not cost all that is held
            yield from self._pay(means, session)
        if session.is_late:
            for hold in list(session.holds.values()):
                hold.is_late(session.left_s())
        left_s = session.due_s - means.now_s()
        return max(0.0, left_s) if left_s > 0 and not session.owed else AGAIN_S

    def _pay(self, means: Means, session: LiveSession) -> WaitingSteps[None]:
        for register, request in list(session.owed):
            try:
                yield from give_back(means, register, request)
            except AgreementError as error:
                log.debug("%s cannot be left yet; that goes on. %s", register, error)
                return
            except TaskMeshError as error:
                # it is this line that cannot be read; others can
                log.debug("%s cannot be left; that goes on. %s", register, error)
            else:
                session.owed.pop((register, request), None)

    def _retire(self, session: LiveSession) -> bool:
        with self._lock:
            if session.users or session.owed:
                return False
            self._remove(session)
        return True

    def _forget(self, session: LiveSession) -> None:
        with self._lock:
            self._remove(session)

    def _remove(self, session: LiveSession) -> None:
        self._all.discard(session)
        if self._current.get(session.ttl_s) is session:
            del self._current[session.ttl_s]

    def _sweep_up(self, means: Means) -> None:
        # not all processes at once
        self._sweep_at_s = means.now_s() + means.chance.uniform(SWEEP_S / 2, SWEEP_S)
        try:
            dead = self._conversing.run(self._sweep.run(means, self.own()))
        except TaskMeshError as error:
            log.debug("sessions of processes that vanished could not be looked for: %s", error)
            return
        for session in dead:
            log.info("session %s was declared dead", session.hex())

    def close(self) -> None:
        """Give everything back and end all sessions, as far as the acceptors answer."""
        with self._lock:
            sessions, self._all, self._current = self._all, set(), {}
        self._wake.set()
        if not sessions:
            return
        means = self._means()
        for session in sessions:
            # whoever closes needs no alarm
            session.lost = f"it was closed by its process {os.getpid()}"
            try:
                for hold in list(session.holds.values()):
                    self._conversing.run(give_back(means, hold.register, hold.request))
                self._conversing.run(self._pay(means, session))
                self._conversing.run(end(means, session.id))
            except TaskMeshError as error:
                log.warning(
                    "session %s could not be ended: what it held is free when its lease is over. %s",
                    session.id.hex(),
                    error,
                )
