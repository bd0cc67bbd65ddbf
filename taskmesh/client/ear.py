"""The ear of an event loop: hears of outcomes for any number of waiting coroutines.

What the inbox is to the threads of a process, an ear is to the coroutines of one loop; each loop has one for
each mesh that it waits on. The loop itself delivers what comes, so waiting takes no task and no switch between
tasks. A task exists only while there is something to catch up with: to begin to listen, or to read records.
So a loop that is closed leaves nothing behind.

A notice can be missed only while nothing listens. So each time listening begins, a new *round* begins, and
what is waited for is read from its record once in each; those that wait together are read together.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from taskmesh.client.expected import Expected
from taskmesh.client.inbox import CHANNEL_LINGER_S, NOBODY_SERVES_S, PART_S, READ_AGAIN_S, SILENCE_S
from taskmesh.client.unserved import STATES as WAITING
from taskmesh.client.verified import open_notice
from taskmesh.codec.outcome import Outcome
from taskmesh.core import keys
from taskmesh.core.record import Record
from taskmesh.errors import NodeUnavailable, TaskMeshError
from taskmesh.results.read import READ_MAX, read_some

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.client.result import AsyncResult
    from taskmesh.nodes.async_subscription import AsyncSubscription
    from taskmesh.nodes.async_subscriptions import AsyncSubscriptions

    Told: TypeAlias = Callable[[AsyncResult[Any], Exception | None], None]

log = logging.getLogger("taskmesh")

#: Between looks at what is waited for for long.
TICK_S = 0.5
#: Before listening is tried again.
AGAIN_S = 0.1
# Below 0, and never used twice: a round of one ear is taken neither for one of another nor for one of an inbox.
_rounds = itertools.count(-1, -1)


def _nobody(_handle: AsyncResult[Any], _error: Exception | None) -> None:
    """Tell nobody: the wait is over."""


class Wait:
    """One wait for one handle.

    Attributes:
        handle: The handle; None when the wait is over.
        round: In which its record was last read.
        channel: The channel of another process on which its outcome will be told; empty for our own.
        look_at_s: When to look at its record though nothing was heard.
        told: Called once, with an error if the handle cannot be settled.
    """

    __slots__ = ("channel", "handle", "look_at_s", "round", "told")

    def __init__(self, handle: AsyncResult[Any], told: Told, look_at_s: float) -> None:
        """Begin; `Ear.wait` does it."""
        self.handle: AsyncResult[Any] | None = handle
        self.round = handle.round
        self.channel = b""
        self.look_at_s = look_at_s
        self.told = told


class Ear:
    """Hears of outcomes in one event loop. Belongs to that loop's thread.

    Attributes:
        round: Since when it has been listening without a gap; 0 while it does not.
    """

    def __init__(self, portal: Portal) -> None:
        """Prepare; nothing is connected until somebody waits."""
        self._portal = portal
        self.round = 0
        self._subscription: AsyncSubscription | AsyncSubscriptions | None = None
        self._expected = Expected()
        self._waits: dict[str, list[Wait]] = {}
        self._unread: list[Wait] = []
        self._later: list[Wait] = []
        self._young: deque[Wait] = deque()
        self._old: deque[Wait] = deque()
        self._catching_up: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._ticking = False
        self._sweep_at_s = 0.0
        self._heard_at_s = 0.0

    # -- handles ------------------------------------------------------------------

    def expect(self, handle: AsyncResult[Any]) -> None:
        """Have the outcome put into the handle when it is heard of."""
        self._expected.add(handle)

    def wait(self, handle: AsyncResult[Any], told: Told) -> Wait:
        """Have `told` called once, when the handle is settled or when that turns out to be impossible."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        wait = Wait(handle, told, now_s + NOBODY_SERVES_S)
        self._waits.setdefault(handle.id, []).append(wait)
        self._young.append(wait)
        self.expect(handle)
        if not self.round or wait.round != self.round:
            self._unread.append(wait)
            self._begin_to_catch_up()
        if not self._ticking:
            self._ticking = True
            self._sweep_at_s = now_s + CHANNEL_LINGER_S
            loop.call_later(TICK_S, self._tick)
        return wait

    def leave(self, wait: Wait) -> None:
        """Wait no more. The others are left alone."""
        handle, wait.handle = wait.handle, None
        # it may stand in line for a look for some time yet, and must not keep what it told, nor the loop
        wait.told = _nobody
        if handle is not None:
            others = self._waits[handle.id]
            others.remove(wait)
            if not others:
                del self._waits[handle.id]

    def _end(self, wait: Wait, error: Exception | None = None) -> None:
        handle, told = wait.handle, wait.told
        if handle is not None:
            self.leave(wait)
            told(handle, error)

    # -- hearing ------------------------------------------------------------------

    def _heard(self, payload: bytes) -> None:
        self._heard_at_s = asyncio.get_running_loop().time()
        notice = open_notice(payload, self._portal.link.results)
        for outcome in notice.outcomes:
            self._put_in(outcome)
        if notice.is_cut:
            self._gap()

    def _put_in(self, outcome: Outcome) -> None:
        for handle in self._expected.take(outcome.id):
            handle.set_outcome(outcome)
        for wait in list(self._waits.get(outcome.id, ())):
            self._end(wait)

    def _lost(self, reason: str) -> None:
        log.debug("%s; listening again", reason)
        self.round = 0
        self._subscription = None
        self._read_all_again()

    def _gap(self) -> None:
        """Begin another round on the same subscription: notices of some nodes may have been missed."""
        if self.round:
            self._expected.all_unread()
            self.round = next(_rounds)
            self._read_all_again()

    # -- catching up --------------------------------------------------------------

    def _read_all_again(self) -> None:
        self._unread = [wait for waits in self._waits.values() for wait in waits]
        for wait in self._unread:
            wait.round = 0
        self._begin_to_catch_up()

    def _begin_to_catch_up(self) -> None:
        if self._unread and self._catching_up is None:
            self._catching_up = self._task(self._catch_up())
            self._catching_up.add_done_callback(self._caught_up)

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        name = f"taskmesh {self._portal.link.mesh}: results"
        return asyncio.get_running_loop().create_task(work, name=name)

    def _caught_up(self, task: asyncio.Task[None]) -> None:
        # not said by the task itself: one that is cancelled before its first step does not run at all
        self._catching_up = None
        if not task.cancelled():
            # for those who began to wait after its last step
            self._begin_to_catch_up()

    async def _catch_up(self) -> None:
        """Listen, and read what may have ended before, until nothing waits unread."""
        waits: list[Wait] = []
        try:
            while self._unread:
                try:
                    current = await self._listen()
                    # those who began to wait meanwhile are read together with the first
                    unread = dict.fromkeys(self._unread)
                    waits = [wait for wait in unread if wait.handle is not None and wait.round != current]
                    self._unread = []
                    await self._read(waits, current)
                except NodeUnavailable as error:
                    if self._portal.inbox.has_ended:
                        raise
                    log.debug("cannot listen for results: %s", error)
                    # those who gave up meanwhile are not kept, however long the node is away
                    unread = dict.fromkeys([*waits, *self._unread])
                    waits, self._unread = [], [wait for wait in unread if wait.handle is not None]
                    await asyncio.sleep(AGAIN_S)
        except TaskMeshError as error:
            # no use to try again: a key that the mesh does not accept, a fault of the node, a node that is no more
            unread, self._unread = dict.fromkeys([*waits, *self._unread]), []
            for wait in unread:
                self._end(wait, error)
        except asyncio.CancelledError:
            # by somebody who cancels every task; if the loop goes on, so does the next tick
            self._unread += waits
            raise

    async def _listen(self, more: Collection[bytes] = ()) -> int:
        """Listen to the process's own channel and to some more, and return the round."""
        link = self._portal.link
        if self._portal.inbox.has_ended:
            raise NodeUnavailable(f"the node of mesh {link.mesh!r} is gone for good", node=link.mesh)
        if link.meta is None:
            await link.open_async()
        subscription = self._subscription
        if subscription is None:
            # redis is loaded by now, in the thread that joined the mesh: loading it here would hold the loop up
            from taskmesh.nodes.async_subscriptions import subscription_in_loop

            subscription = subscription_in_loop(link, self._heard, self._lost, self._gap)
            await subscription.listen([keys.channel(link.prefix, link.channel), *more])
            self._expected.all_unread()
            self._subscription = subscription
            self._heard_at_s = asyncio.get_running_loop().time()
            self.round = next(_rounds)
        elif more:
            try:
                await subscription.listen(more)
            except NodeUnavailable as error:
                self._lost(str(error))
                raise
        return self.round

    async def _read(self, waits: Sequence[Wait], current: int) -> None:
        """Read the records of what is waited for.

        Args:
            waits: Any number; what one caller may ask for next is read along, see `Expected.read_ahead`.
            current: The round, in which listening began before.
        """
        link, inbox = self._portal.link, self._portal.inbox
        heard = set(self._channels())
        waits = [wait for wait in waits if wait.handle is not None]
        asked = [handle for wait in waits if (handle := wait.handle) is not None]
        ahead = self._expected.read_ahead(asked[0], current) if len(asked) == 1 and asked[0].sent_here else []
        handles = asked + ahead
        several = len(link.nodes) > 1
        records = await link.run_async(
            read_some(link.session, [handle.id for handle in handles]), within_s=PART_S if several else None
        )
        for handle, found in zip(handles[len(asked) :], records[len(asked) :], strict=True):
            if found is not None and not isinstance(found, NodeUnavailable):
                inbox.settle(handle, found)
                if isinstance(found, Record) and not handle.is_settled() and found.channel == link.channel:
                    handle.round = current
        new: dict[bytes, list[Wait]] = {}
        unread: list[Wait] = []
        for wait, handle, found in zip(waits, asked, records, strict=False):
            if wait.handle is None:
                # told or left meanwhile
                continue
            if isinstance(found, NodeUnavailable):
                unread.append(wait)
                continue
            inbox.settle(handle, found)
            if handle.outcome is not None:
                self._put_in(handle.outcome)
                continue
            if handle.is_settled():
                self._end(wait)
                continue
            wait.round = current
            if not isinstance(found, Record):
                continue
            if found.channel == link.channel:
                handle.round = current
            elif found.channel:
                # the handle's round stays 0: the channel is listened to no longer than somebody waits for it
                wait.channel = keys.channel(link.prefix, found.channel)
                if wait.channel not in heard or wait.channel not in self._channels():
                    new.setdefault(wait.channel, []).append(wait)
        if unread:
            # their node is away, while others are not: with the next tick
            self._later += unread
        if new:
            await self._listen(new)
            for wait in itertools.chain.from_iterable(new.values()):
                # it may have ended before the channel was listened to
                wait.round = 0
                self._unread.append(wait)

    def _channels(self) -> Collection[bytes]:
        return self._subscription.channels if self._subscription is not None else ()

    # -- time ---------------------------------------------------------------------

    def _tick(self) -> None:
        """Look after what is waited for for long."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if now_s >= self._sweep_at_s:
            self._sweep_at_s = now_s + CHANNEL_LINGER_S
            self._sweep_channels()
        if not self._waits and not self._foreign_channels():
            self._ticking = False
            self._later.clear()
            self._young.clear()
            self._old.clear()
            return
        loop.call_later(TICK_S, self._tick)
        if self._subscription is not None:
            self._subscription.tend()
        due: list[Wait] = []
        for waits in (self._young, self._old):
            while waits and len(due) < READ_MAX and waits[0].look_at_s <= now_s:
                wait = waits.popleft()
                if wait.handle is not None:
                    due.append(wait)
        if due:
            for wait in due:
                wait.look_at_s = now_s + READ_AGAIN_S
            self._old.extend(due)
            if self.round and self._looking is None:
                self._looking = self._task(self._look(due))
                self._looking.add_done_callback(self._looked)
        later, self._later = self._later, []
        self._unread += later
        self._begin_to_catch_up()

    def _looked(self, _: asyncio.Task[None]) -> None:
        self._looking = None

    async def _look(self, waits: Sequence[Wait]) -> None:
        """Read what nothing was heard of, and see whether anybody serves what still waits in its queue."""
        looked_at = [handle for wait in waits if (handle := wait.handle) is not None]
        try:
            await self._read(waits, self.round)
            if any(handle.is_settled() for handle in looked_at):
                self._doubt()
            left = [handle for wait in waits if (handle := wait.handle) is not None]
            waiting = [handle.id for handle in left if handle.last_state in WAITING]
            if waiting:
                await self._portal.link.run_async(self._portal.look_who_serves(waiting))
        except TaskMeshError as error:
            log.debug("cannot look for results: %s", error)

    def _doubt(self) -> None:
        """Listen anew: as `Inbox.doubt`."""
        subscription = self._subscription
        if subscription is not None and asyncio.get_running_loop().time() - self._heard_at_s >= SILENCE_S:
            subscription.close()
            self._lost("something ended of which nothing was heard")

    def _foreign_channels(self) -> set[bytes]:
        link = self._portal.link
        return set(self._channels()) - {keys.channel(link.prefix, link.channel)}

    def _sweep_channels(self) -> None:
        """Listen no more to processes of which nothing is waited for: they may have much to tell."""
        used = {wait.channel for waits in self._waits.values() for wait in waits}
        if self._subscription is not None:
            self._subscription.leave(self._foreign_channels() - used)
