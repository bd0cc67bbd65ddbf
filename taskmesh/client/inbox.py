"""The inbox of one process: hears of outcomes over one connection, for any number of waiting results.

No thread of its own. Whoever waits reads the connection for everybody, the others are parked: a leader and
followers. The leader puts outcomes into handles and wakes those whose wait is over, and nobody else; when it
has what it came for, in whatever way it leaves, it hands the lead to the next in line.

A notice can be missed only while nothing listens. So each time listening begins, a new *round* begins, and a
handle from an earlier round is read from its record once before it is waited for. Whatever goes wrong on the
connection ends the round: the server closes it when notices pile up unread, a killed connection, a leader
interrupted between reading and delivering.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from taskmesh.client.expected import Expected
from taskmesh.client.line import Line
from taskmesh.client.verified import open_notice, settle
from taskmesh.client.waiter import FIRST_LOOK_S, LOOK_AGAIN_S, Waiter
from taskmesh.core import keys
from taskmesh.errors import Malformed, NodeUnavailable
from taskmesh.results.read import read, read_some

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.codec.outcome import Outcome
    from taskmesh.core.record import Record
    from taskmesh.nodes.link import Link
    from taskmesh.nodes.subscription import Subscription
    from taskmesh.nodes.subscriptions import Subscriptions

log = logging.getLogger("taskmesh")

#: When to tell a caller that nobody serves its queue.
NOBODY_SERVES_S = FIRST_LOOK_S
#: Some of what is waited for is read again so often, whatever was heard: no lost notice can last.
READ_AGAIN_S = LOOK_AGAIN_S

#: How long a channel of another process is listened to after it was last needed.
CHANNEL_LINGER_S = 30.0
#: A connection on which nothing was heard for so long, though something has ended, is not relied on any more.
SILENCE_S = 1.0
#: How long reading takes at most where one of several nodes is silent, and when what it did not tell is read again.
PART_S, PART_AGAIN_S = 1.0, 1.0
#: Messages sent while nobody waits before listening stops: their notices would fill the node's memory.
UNREAD_MAX = 5000


class Inbox:
    """Hears of outcomes.

    Attributes:
        round: Number of the present round of listening; 0 while nothing listens.
    """

    def __init__(
        self,
        link: Link,
        nobody_serves: Callable[[Sequence[AsyncResult[Any]]], None],
        task_waits: Callable[[str, AsyncResult[Any]], None],
    ) -> None:
        """Prepare; nothing is connected until somebody waits.

        Args:
            link: The process's link.
            nobody_serves: Called with handles that are waited for and have not ended, after 2 s and then now
                and again.
            task_waits: Called with the name of a task that is about to wait in a process which runs nothing else
                meanwhile, and with what it waits for; once for such a pair.
        """
        self._link = link
        self.nobody_serves = nobody_serves
        self.task_waits = task_waits
        self.round = 0
        self._rounds = 0
        self._expected = Expected()
        self._ended = ""
        self._start_over()

    def _start_over(self) -> None:
        self._subscription: Subscription | Subscriptions | None = None
        self._gaps = 0
        self._beginning = threading.RLock()
        self._line = Line()
        self._foreign: dict[bytes, float] = {}
        self._unread = 0
        self._heard_at_s = 0.0

    def forked(self) -> None:
        """Forget the parent's connection, threads and locks; its handles are read anew when asked for."""
        self.round = 0
        self._rounds += 1
        self._expected = Expected()
        self._start_over()

    @property
    def has_ended(self) -> bool:
        """Whether the node is gone for good."""
        return bool(self._ended)

    def is_hopeless(self, error: NodeUnavailable) -> bool:
        """Tell whether waiting is of no use: the node is gone for good, or has refused us from the beginning."""
        return self.has_ended or (error.lasts and not self._link.is_open)

    def end(self, why: str) -> None:
        """End every wait, now and later, with `NodeUnavailable`: the node is gone for good."""
        self._ended = why
        self.close()
        with self._line.lock:
            self._line.wake_all()

    def close(self) -> None:
        """Stop listening, unless somebody waits."""
        with self._line.lock:
            if self._line.leader is None or self._ended:
                self._stop_listening(self._subscription)

    # -- handles ------------------------------------------------------------------

    def expect(self, handle: AsyncResult[Any]) -> None:
        """Have the outcome put into the handle when it is heard of."""
        self._expected.add(handle)
        self._unread += 1
        if self._unread > UNREAD_MAX:
            self._stop_if_nobody_reads()

    def expect_new(self, handles: Sequence[AsyncResult[Any]]) -> None:
        """As `expect`, for many handles whose ids have just been made."""
        self._expected.add_new(handles)
        self._unread += len(handles)
        if self._unread > UNREAD_MAX:
            self._stop_if_nobody_reads()

    def _stop_if_nobody_reads(self) -> None:
        """Stop listening: so much was sent since anybody waited that unread notices would pile up."""
        self._unread = 0
        with self._line.lock:
            if self._line.leader is None:
                self._stop_listening(self._subscription)

    # -- listening ----------------------------------------------------------------

    def waiter(self, handles: Sequence[AsyncResult[Any]]) -> Waiter:
        """Begin to wait for some handles; `Waiter.wait` does it."""
        return Waiter(self, lambda: handles)

    def follow(self, pending: Callable[[], Sequence[AsyncResult[Any]]]) -> Waiter:
        """Begin to wait for handles that come and go; `pending` returns those of the moment.

        Whoever adds one calls `expect` before its message is sent.
        """
        return Waiter(self, pending)

    def catch_up(
        self,
        waiter: Waiter,
        handles: Iterable[AsyncResult[Any]],
        patience_s: float,
        within_s: float | None = None,
    ) -> int:
        """Begin to listen if nobody does, and read what may have ended before.

        Args:
            waiter: Who waits.
            handles: For what.
            patience_s: How long to go on asking.
            within_s: How long an answer may take at most; None for the usual time.

        Returns:
            The round for which this holds; 0 when it must be done again.

        Raises:
            NodeUnavailable: The node cannot be reached: try again.
        """
        self.refuse_if_ended()
        current = self.round or self.begin(within_s)
        missed = [handle for handle in handles if handle.round != current and not handle.is_settled()]
        if not missed:
            return current
        for handle in missed:
            self.expect(handle)
        asked = missed
        if len(missed) == 1 and missed[0].sent_here:
            asked = missed + self._expected.read_ahead(missed[0], current)
        waiter.channels, unheard = self._read(waiter, asked, len(missed), current, patience_s, within_s)
        if unheard:
            if not self._hear_also(waiter, unheard, current, patience_s):
                return 0
            late = [handle for handle in missed if not handle.is_settled()]
            self._read(waiter, late, len(late), current, patience_s, within_s)
        return current

    def begin(self, within_s: float | None = None) -> int:
        """Begin to listen if nobody does, and return the round.

        Args:
            within_s: How long the caller has; None for as long as it takes.

        Raises:
            NodeUnavailable: The node cannot be reached.
        """
        from taskmesh.nodes.subscriptions import subscribe

        if not self._beginning.acquire(timeout=-1 if within_s is None else within_s):
            raise NodeUnavailable(
                f"another thread did not reach the node within {within_s:g} s", node=self._link.mesh
            )
        try:
            if self.round:
                return self.round
            link = self._link.open(within_s)
            subscription = subscribe(link, [keys.channel(link.prefix, link.channel)], within_s=within_s)
            self._expected.all_unread()
            with self._line.lock:
                self._subscription = subscription
                self._foreign = {}
                self._unread = 0
                self._heard_at_s = time.monotonic()
                self._gaps = subscription.gaps
                self._rounds += 1
                self.round = self._rounds
            return self.round
        finally:
            self._beginning.release()

    def _stop_listening(self, subscription: Subscription | Subscriptions | None) -> None:
        """End the round of a subscription, unless that has happened; everybody catches up."""
        if subscription is not None:
            subscription.close()
            with self._line.lock:
                if self._subscription is subscription:
                    self._subscription = None
                    self.round = 0
                    self._line.wake_all()

    def _note_gap(self, subscription: Subscription | Subscriptions) -> None:
        """Begin another round on the same subscription: notices of some nodes may have been missed."""
        self._expected.all_unread()
        with self._line.lock:
            self._gaps = subscription.gaps
            if self._subscription is subscription:
                self._rounds += 1
                self.round = self._rounds
                self._line.wake_all()

    def doubt(self) -> None:
        """Listen anew, now that something has ended of which nothing was heard, unless much else is heard.

        The connection may be half open: of that no end is ever told, and each result would come with a look only.
        """
        if time.monotonic() - self._heard_at_s >= SILENCE_S:
            self._stop_listening(self._subscription)

    def listen(self, waiter: Waiter, until_s: float, enough: Callable[[], bool]) -> None:
        """Read notices until it is enough or the time is over, or be parked while somebody else does.

        Args:
            waiter: Who waits.
            until_s: When to return at the latest, by the monotonic clock.
            enough: Whether the wait is over; called by whoever leads.
        """
        self._line.take_part(waiter, until_s, enough, lambda: self._lead(until_s, enough))

    def _lead(self, until_s: float, enough: Callable[[], bool]) -> None:
        subscription = self._subscription
        if subscription is None:
            return
        self._unread = 0
        try:
            while True:
                payload = subscription.read(until_s - time.monotonic())
                if subscription.gaps != self._gaps:
                    self._note_gap(subscription)
                    if payload:
                        self._deliver(payload)
                    return
                if payload is None:
                    return
                self._heard_at_s = time.monotonic()
                if self._deliver(payload):
                    self._note_gap(subscription)
                    return
                if self._line.parked:
                    self._line.wake_satisfied()
                if enough() or time.monotonic() >= until_s:
                    return
        except NodeUnavailable as error:
            log.debug("%s; listening again", error)
            self._stop_listening(subscription)
        except BaseException:
            # between reading and delivering: what was read is lost, and has to be read again by everybody
            self._stop_listening(subscription)
            raise

    def nudge(self) -> None:
        """Have everybody who waits check whether his wait is over, the one who leads included."""
        self._line.wake_satisfied()
        subscription = self._subscription
        if subscription is not None and self._line.leader is not None:
            try:
                # confirmed once more, which the leader hears
                subscription.add(subscription.channels)
            except NodeUnavailable as error:
                log.debug("%s; listening again", error)

    def _deliver(self, payload: bytes) -> bool:
        """Put outcomes into their handles; tell whether one was too large to be told, and is to be read."""
        notice = open_notice(payload, self._link.results)
        for outcome in notice.outcomes:
            self._put_in(outcome)
        return notice.is_cut

    def _put_in(self, outcome: Outcome) -> None:
        for handle in self._expected.take(outcome.id):
            handle.set_outcome(outcome)

    # -- channels of other processes ----------------------------------------------

    def _hear_also(self, waiter: Waiter, channels: set[bytes], current: int, patience_s: float) -> bool:
        """Listen to the channels of other processes, too, and tell whether that has been confirmed."""
        now_s = time.monotonic()
        until_s = now_s + patience_s
        with self._line.lock:
            subscription = self._subscription
            if subscription is None or self.round != current:
                return False
            new = channels - self._foreign.keys()
            old = {name for name, used_s in self._foreign.items() if now_s - used_s > CHANNEL_LINGER_S}
            old -= channels
            self._foreign = {name: used_s for name, used_s in self._foreign.items() if name not in old}
            self._foreign.update(dict.fromkeys(channels, now_s))
        try:
            if old:
                subscription.remove(old)
            if new:
                subscription.add(new)
        except NodeUnavailable:
            self._stop_listening(subscription)
            raise

        def confirmed() -> bool:
            return channels <= subscription.channels

        while not confirmed():
            if self.round != current or time.monotonic() >= until_s:
                return False
            self.listen(waiter, until_s, confirmed)
        return True

    def still_needed(self, channels: Iterable[bytes]) -> None:
        """Go on listening to channels of other processes."""
        now_s = time.monotonic()
        with self._line.lock:
            for name in channels:
                if name in self._foreign:
                    self._foreign[name] = now_s

    # -- reading ------------------------------------------------------------------

    def refuse_if_ended(self) -> None:
        """Raise `NodeUnavailable` if the node is gone for good."""
        if self._ended:
            raise NodeUnavailable(self._ended, node=self._link.mesh)

    def look(
        self, handles: Sequence[AsyncResult[Any]], within_s: float | None = None, *, in_part: bool = False
    ) -> None:
        """Read the records of handles now, in few round trips, and put into them what these say.

        Args:
            handles: Whose.
            within_s: How long that may take at most; None for `send_timeout`.
            in_part: Whether what can be read is enough, where one of several nodes does not answer.

        Raises:
            NodeUnavailable: The time was over, or the node is gone for good.
        """
        self.refuse_if_ended()
        link = self._link
        ids = [handle.id for handle in handles]
        found: Sequence[Record | Malformed | NodeUnavailable | None]
        if in_part and len(link.nodes) > 1:
            within_s = PART_S if within_s is None else min(PART_S, within_s)
            found = link.run(read_some(link.session, ids, patience_s=0.0), within_s=within_s)
        else:
            found = link.ask(lambda left_s: read(link.session, ids, patience_s=left_s), within_s)
        for handle, record in zip(handles, found, strict=True):
            if not isinstance(record, NodeUnavailable):
                self.settle(handle, record)
        self._line.wake_satisfied()

    def _read(
        self,
        waiter: Waiter,
        handles: Sequence[AsyncResult[Any]],
        asked_for: int,
        current: int,
        patience_s: float,
        within_s: float | None,
    ) -> tuple[set[bytes], set[bytes]]:
        """Read records: those of the first handles that are asked for, and of others ahead of time.

        What a node does not tell that is away, while others answer, is read again soon.

        Returns:
            The channels of other processes on which outcomes will be told, and which of these were not listened
            to before the reading began.
        """
        link = self._link
        subscription = self._subscription
        heard = set(subscription.channels) if subscription is not None else set()
        if len(link.nodes) > 1:
            within_s = PART_S if within_s is None else min(PART_S, within_s)
        records = link.run(
            read_some(link.session, [handle.id for handle in handles], patience_s=patience_s),
            within_s=within_s,
        )
        foreign = set()
        for at, (handle, found) in enumerate(zip(handles, records, strict=True)):
            if isinstance(found, NodeUnavailable):
                waiter.unreachable, waiter.again_at = found, time.monotonic() + PART_AGAIN_S
                continue
            if at >= asked_for and found is None:
                continue
            self.settle(handle, found)
            if handle.is_settled() or found is None or isinstance(found, Malformed):
                continue
            if found.channel == link.channel:
                handle.round = current
            elif at < asked_for and found.channel:
                # its round stays 0: the channel is listened to no longer than somebody waits for it
                foreign.add(keys.channel(link.prefix, found.channel))
        self._line.wake_satisfied()
        return foreign, foreign - heard

    def settle(self, handle: AsyncResult[Any], found: Record | Malformed | None) -> None:
        """Put what a record says into the handle, and its outcome into all that wait for it."""
        outcome = settle(handle, found, self._link.results)
        if outcome is not None:
            self._put_in(outcome)
            if handle.outcome is None:
                handle.set_outcome(outcome)
