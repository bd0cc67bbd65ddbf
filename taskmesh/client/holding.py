"""Getting, keeping and giving back what a line is for: the part that locks, semaphores and elections share."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from taskmesh.client.hold import Alarm, Hold
from taskmesh.client.readers import seconds
from taskmesh.coordination.acquire import LOOK_S_FIRST, LOOK_S_MAX, Gone, Wish, acquire, give_back
from taskmesh.coordination.line import OWNER_LENGTH_MAX, Entry
from taskmesh.coordination.means import Means, WaitingSteps
from taskmesh.coordination.session import RENEW_PART
from taskmesh.errors import AgreementError, LockError, LockLost, LockTimeout, UsageError

if TYPE_CHECKING:
    from taskmesh.client.coordinator import Coordinator
    from taskmesh.config.arguments import Duration

log = logging.getLogger("taskmesh")

TTL_S_MIN, TTL_S_MAX = 2.0, 3600.0
read_ttl = seconds("ttl", TTL_S_MIN, TTL_S_MAX)
#: Others must not have it for longer than this after it was lost.
DELAY_S_MAX = 60.0
_read_delay = seconds("lock_delay", 0.0, DELAY_S_MAX)
_read_wait = seconds("wait", 0.0, float("inf"))
NAME_LENGTH_MAX = 200
REQUEST_SIZE = 8
#: For how long to wait is what was said when the object was made.
AS_SAID = -1.0
#: Which thread holds, and in it which task of an event loop.
Who = tuple[int, int]


def check_name(kind: str, name: object) -> str:
    """Return the name of a lock, a semaphore or an election.

    Raises:
        UsageError: It is none.
    """
    if (
        isinstance(name, str)
        and 0 < len(name) <= NAME_LENGTH_MAX
        and all("!" <= letter <= "~" for letter in name)
    ):
        return name
    raise UsageError(
        f"{kind} name {name!r}: expected 1 to {NAME_LENGTH_MAX} printable ASCII characters, no spaces"
    )


def check_owner(kind: str, owner: object) -> str:
    """Return what somebody calls himself who may hold a lock, a semaphore or an election.

    Raises:
        UsageError: It is no text. Anything else would stand in the line, and nobody could read that any more.
    """
    if isinstance(owner, str) and owner.isprintable():
        return owner
    raise UsageError(f"{kind}: {owner!r} as what others see of the holder: expected printable text")


def _who() -> Who:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), 0 if task is None else id(task)


class Holding:
    """What can be held. One object may be used by many threads and coroutines, each of which holds it by itself."""

    def __init__(
        self,
        coordinator: Callable[[], Coordinator],
        kind: str,
        name: str,
        *,
        ttl: Duration,
        wait: Duration | None,
        mode: str,
        limit: int,
        lock_delay: Duration | None,
        owner: str = "",
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            coordinator: Returns what is shared in this process.
            kind: `lock`, `semaphore` or `election`: the register's name begins so.
            name: Its name.
            ttl: The lease.
            wait: How long to wait, unless that is said when it is acquired; None for as long as it takes.
            mode: As `Entry.mode`.
            limit: How many permits there are.
            lock_delay: The lock-delay; None for the lease, and at most a minute.
            owner: What others see of the holder; host and process if empty.

        Raises:
            UsageError: One of them is impossible.
        """
        self.name = check_name(kind, name)
        self.ttl_s = read_ttl(ttl)
        self._wait_s = None if wait is None else _read_wait(wait)
        self._delay_s = min(self.ttl_s, DELAY_S_MAX) if lock_delay is None else _read_delay(lock_delay)
        self._coordinator = coordinator
        self._title = f"{kind} {name}"
        self._register = f"{kind}/{name}"
        self._mode = mode
        self._owner = check_owner(self._title, owner)
        self._limit = limit
        self._holds: dict[Who, list[Hold]] = {}
        self._lock = threading.Lock()
        self._alarms: list[Alarm] = []

    def __repr__(self) -> str:
        """Show name and token."""
        hold = self._hold()
        return f"<{self._title}: {'not held' if hold is None else f'token {hold.token}'}>"

    # -- what is held -----------------------------------------------------------------

    def _hold(self) -> Hold | None:
        """Return what this thread or coroutine got last; else what any got."""
        with self._lock:
            holds = self._holds.get(_who()) or next(iter(self._holds.values()), None)
            return holds[-1] if holds else None

    def _held(self) -> Hold:
        hold = self._hold()
        if hold is None:
            raise LockError(f"{self._title} is not held: acquire it first", name=self.name)
        return hold

    @property
    def token(self) -> int:
        """The token of what is held: greater than each that was granted before. Give it to what you write to.

        Raises:
            LockError: It is not held, or `LockLost` in a process that was forked from the holder.
        """
        hold = self._held()
        trouble = None if hold.is_ours else hold.trouble()
        if trouble is not None:
            raise trouble
        return hold.token

    @property
    def is_held(self) -> bool:
        """Whether it is held, and may be relied on at this moment."""
        hold = self._hold()
        return hold is not None and hold.trouble() is None

    def check(self) -> None:
        """See that it is held and may be relied on at this moment.

        Raises:
            LockInJeopardy: Its lease is over and could not be renewed: others may have it.
            LockLost: It is held no more.
            LockError: It was not acquired.
        """
        trouble = self._held().trouble()
        if trouble is not None:
            raise trouble

    def on_jeopardy(self, alarm: Alarm) -> Alarm:
        """Have a function called, in a thread of its own, when it is in jeopardy, and when it is lost.

        Args:
            alarm: Takes the error: `LockInJeopardy` when two thirds of the lease are over without a renewal, `LockLost`
                when it turns out that others may have had it.
        """
        self._alarms.append(alarm)
        return alarm

    # -- acquiring --------------------------------------------------------------------

    def acquire(self, wait: Duration | None = AS_SAID) -> bool:
        """Get it; False if it was not free in time.

        Args:
            wait: How many seconds to wait: 0 not to wait at all, None for as long as it takes. What was said when the
                object was made, if not given.

        Raises:
            AgreementError: No majority of the acceptors answers.
            UsageError: This thread holds it already.
        """
        return self._get(wait)

    def _get(self, wait: Duration | None = AS_SAID, *, in_block: bool = False) -> bool:
        coordinator = self._coordinator()
        means = coordinator.means
        request = os.urandom(REQUEST_SIZE)
        try:
            with coordinator.turns.of(request) as bell:
                return coordinator.conversing.run(
                    self._acquire(coordinator, means, request, wait, in_block=in_block), bell
                )
        except BaseException:
            # a signal's handler may raise when it has just been granted, and nobody would give it back
            with self._lock:
                granted = [
                    hold for holds in self._holds.values() for hold in holds if hold.request == request
                ]
            for hold in granted:
                self._abandon(coordinator, hold)
            raise

    async def aacquire(self, wait: Duration | None = AS_SAID) -> bool:
        """As `acquire`, in an event loop."""
        return await self._aget(wait)

    async def _aget(self, wait: Duration | None = AS_SAID, *, in_block: bool = False) -> bool:
        coordinator = self._coordinator()
        means = await coordinator.open_async()
        request = os.urandom(REQUEST_SIZE)
        with coordinator.turns.of(request, asyncio.get_running_loop()) as bell:
            steps = self._acquire(coordinator, means, request, wait, in_block=in_block)
            return await coordinator.conversing.run_async(steps, bell)

    def _acquire(
        self,
        coordinator: Coordinator,
        means: Means,
        request: bytes,
        wait: Duration | None,
        *,
        in_block: bool,
    ) -> WaitingSteps[bool]:
        who, sessions = _who(), coordinator.sessions
        with self._lock:
            own = self._holds.get(who, [])[-1:]
        if self._limit == 1 and own and own[0].trouble() is None:
            raise UsageError(
                f"{self._title} is held by this thread or coroutine already: it would wait for itself"
            )
        wait_s = self._wait_s if wait == AS_SAID else None if wait is None else _read_wait(wait)
        until_s = None if wait_s is None else means.now_s() + wait_s
        while True:
            session = yield from sessions.use(means, self.ttl_s)
            entry = Entry(
                request,
                session.id,
                self._mode,
                round(self._delay_s * 1000),
                (self._owner or coordinator.owner)[:OWNER_LENGTH_MAX],
            )
            kept = False
            try:
                taken = yield from acquire(means, self._wish(entry), until_s)
                if taken is None:
                    return False
                hold = Hold(self._title, self._register, request, taken.token, session, self._alarms)
                hold.in_block = in_block
                session.holds[request] = hold
                # who waited may have waited for longer than others believe him to live
                if not taken.waited or (yield from sessions.renew(means, session)):
                    with self._lock:
                        self._holds.setdefault(who, []).append(hold)
                    kept = True
                    return True
            except Gone:
                # its session is dead, or somebody took away what had just been granted: either is found out by this
                yield from sessions.renew(means, session)
            except BaseException:
                sessions.owe(session, self._register, request)
                raise
            finally:
                if not kept:
                    session.holds.pop(request, None)
                    sessions.done(session)

    def _wish(self, entry: Entry) -> Wish:
        return Wish(
            self._register,
            entry,
            self._limit,
            look_s=min(LOOK_S_MAX, max(LOOK_S_FIRST, self.ttl_s * RENEW_PART)),
        )

    # -- giving back ------------------------------------------------------------------

    def release(self) -> bool:
        """Give it back, and return whether it was held until now: False if it had been lost.

        What cannot be said now, since the acceptors do not answer, is said later by a thread of this process.

        Raises:
            LockError: It is not held.
        """
        return self._give_back(self._held())

    def _give_back(self, hold: Hold) -> bool:
        coordinator = self._coordinator()
        try:
            self._let_go(hold)
            return coordinator.conversing.run(self._release(coordinator, hold)) if hold.is_ours else False
        except BaseException:
            self._abandon(coordinator, hold)
            raise

    async def arelease(self) -> bool:
        """As `release`, in an event loop."""
        coordinator = self._coordinator()
        hold = self._held()
        self._let_go(hold)
        return (
            await coordinator.conversing.run_async(self._release(coordinator, hold))
            if hold.is_ours
            else False
        )

    def to_be_given_back(self) -> Hold:
        """Return what a transaction is to give back.

        Raises:
            LockError: It is not held, or may not be relied on.
        """
        self.check()
        return self._held()

    def is_given_back(self, hold: Hold, transaction: str) -> None:
        """Note that a transaction was decided which gives it back; a `with` block does not do so again."""
        if hold.session.holds.pop(hold.request, None) is None:
            return
        hold.given_back_by = transaction
        if not hold.in_block:
            self._let_go(hold)
        self._coordinator().sessions.done(hold.session)

    def _let_go(self, hold: Hold) -> None:
        with self._lock:
            for who, holds in self._holds.items():
                if hold in holds:
                    holds.remove(hold)
                    if not holds:
                        del self._holds[who]
                    return
        raise LockError(f"{self._title} is given back already, by another thread", name=self.name)

    def _release(self, coordinator: Coordinator, hold: Hold) -> WaitingSteps[bool]:
        if hold.given_back_by:
            return True
        session = hold.session
        said = False
        try:
            session.holds.pop(hold.request, None)
            was_held = yield from give_back(coordinator.means, hold.register, hold.request)
            said = True
        except AgreementError as error:
            log.warning("%s could not be given back yet; that goes on. %s", hold.name, error)
            return hold.trouble() is None
        else:
            return was_held
        finally:
            if not said:
                coordinator.sessions.owe(session, hold.register, hold.request)
            coordinator.sessions.done(session)

    def _abandon(self, coordinator: Coordinator, hold: Hold) -> None:
        """Have the thread that renews leases give it back, unless that is under way: its holder was interrupted."""
        with self._lock:
            for who, holds in list(self._holds.items()):
                self._holds[who] = [each for each in holds if each is not hold]
                if not self._holds[who]:
                    del self._holds[who]
        if hold.session.holds.pop(hold.request, None) is not None:
            coordinator.sessions.owe(hold.session, hold.register, hold.request)
            coordinator.sessions.done(hold.session)

    # -- blocks -----------------------------------------------------------------------

    def __enter__(self) -> Self:
        if not self._get(in_block=True):
            raise self._timeout()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        hold: Hold | None = None
        try:
            hold = self._held()
            was_held = self._give_back(hold)
        except BaseException:
            self._abandon(self._coordinator(), hold or self._held())
            raise
        if not was_held and error is None and hold.is_ours:
            raise self._was_lost(hold.token)

    async def __aenter__(self) -> Self:
        if not await self._aget(in_block=True):
            raise self._timeout()
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        hold = self._held()
        if not await self.arelease() and error is None and hold.is_ours:
            raise self._was_lost(hold.token)

    def _timeout(self) -> LockTimeout:
        return LockTimeout(f"{self._title} was not free within {self._wait_s:g} s", name=self.name)

    def _was_lost(self, token: int) -> LockLost:
        return LockLost(
            f"{self._title} with token {token} was lost before it was given back: others may have had it meanwhile",
            name=self.name,
        )
