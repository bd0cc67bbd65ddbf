"""The inbox of one process: hears of outcomes over one connection, for any number of waiting results.

No thread of its own. Whoever waits reads the connection for everybody; the others wait for that one
(leader and followers). An outcome goes to the handle if somebody still holds it, and nowhere otherwise.

A notice can be missed only while nothing listens. So each time listening begins, a new *round* begins,
and a handle from an earlier round is read from its record once before it is waited for.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from taskmesh.codec.outcome import Outcome, decode_outcome
from taskmesh.core import keys
from taskmesh.core.notice import split_notice
from taskmesh.core.state import FINAL
from taskmesh.errors import InvariantBroken, NodeUnavailable, TrustError
from taskmesh.results.read import read

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.core.record import Record
    from taskmesh.nodes.link import Link
    from taskmesh.nodes.subscription import Subscription

log = logging.getLogger("taskmesh")

#: Longest single wait on the connection, so that Ctrl-C and deadlines are met.
LISTEN_S = 1.0
#: Everything waited for is read again so often, whatever was heard: no lost notice can last.
READ_AGAIN_S = 10.0
#: When to tell a caller that nobody serves its queue.
NOBODY_SERVES_S = 2.0


class Inbox:
    """Hears of outcomes."""

    def __init__(self, link: Link, nobody_serves: Callable[[str], None]) -> None:
        """Prepare; nothing is connected until somebody waits.

        Args:
            link: The process's link.
            nobody_serves: Called once with a task id after two seconds of waiting for it.
        """
        self._link = link
        self.nobody_serves = nobody_serves
        self.round = 0
        self._rounds = 0
        self._subscription: Subscription | None = None
        self._channels: set[bytes] = set()
        self._waiting: dict[str, weakref.ref[AsyncResult[Any]]] = {}
        self._purge_at = 2000
        self._state = threading.Condition()
        self._leading = False

    def forked(self) -> None:
        """Forget the parent's connection and locks."""
        self._state = threading.Condition()
        self._leading = False
        self._subscription = None
        self._channels = set()
        self.round = 0
        self._rounds += 1

    # -- handles ------------------------------------------------------------------

    def expect(self, handle: AsyncResult[Any]) -> None:
        """Have the outcome put into the handle when it is heard of."""
        self._waiting[handle.id] = weakref.ref(handle)
        if len(self._waiting) > self._purge_at:
            self._purge()

    def _purge(self) -> None:
        """Drop handles that nobody holds any more."""
        alive = {task_id: ref for task_id, ref in list(self._waiting.items()) if ref() is not None}
        self._waiting = alive
        self._purge_at = 2 * len(alive) + 2000

    # -- waiting ------------------------------------------------------------------

    def waiter(self, handles: Sequence[AsyncResult[Any]]) -> Waiter:
        """Begin to wait for some handles; `Waiter.wait` does it."""
        return Waiter(self, handles)

    def catch_up(self, handles: Sequence[AsyncResult[Any]]) -> int:
        """Begin to listen if nobody does, read what may have ended before, and return the round.

        Returns:
            0 when the node cannot be reached: try again.
        """
        current = self.round
        try:
            if not current:
                current = self._begin()
            missed = [handle for handle in handles if handle.round != current and handle.outcome is None]
            if missed:
                self.read(missed)
                for handle in missed:
                    handle.round = current
        except NodeUnavailable as error:
            log.debug("cannot listen for results: %s", error)
            return 0
        return current

    def _begin(self, more: Iterable[bytes] = ()) -> int:
        from taskmesh.nodes.subscription import Subscription

        with self._state:
            while self._leading:
                self._state.wait(LISTEN_S)
            new = set(more) - self._channels
            if self._subscription is not None and not new:
                return self.round
            self._leading = True
        try:
            link = self._link.open()
            channels = self._channels | new | {link.channel}
            subscription = Subscription(
                link.driver, [keys.channel(link.prefix, name) for name in sorted(channels)]
            )
            if self._subscription is not None:
                self._subscription.close()
            self._subscription = subscription
            self._channels = channels
            self._rounds += 1
            self.round = self._rounds
            return self.round
        finally:
            self._stop_leading()

    def _stop_leading(self) -> None:
        with self._state:
            self._leading = False
            self._state.notify_all()

    def listen(self, timeout_s: float, enough: Callable[[], bool]) -> None:
        """Read notices until it is enough or the time is over, or wait for the one who does."""
        with self._state:
            if self._leading:
                self._state.wait(timeout_s)
                return
            self._leading = True
        try:
            subscription = self._subscription
            if subscription is None:
                return
            until = time.monotonic() + timeout_s
            while True:
                payload = subscription.read(max(0.0, until - time.monotonic()))
                if payload is None:
                    return
                self._deliver(payload)
                if enough():
                    return
                with self._state:
                    self._state.notify_all()
        except NodeUnavailable as error:
            log.debug("%s; listening again", error)
            self._subscription = None
            self.round = 0
        finally:
            self._stop_leading()

    def _deliver(self, payload: bytes) -> None:
        signer = self._link.results
        for wire in split_notice(payload):
            try:
                outcome = decode_outcome(wire, signer)
            except TrustError as error:
                # not a result of this mesh: never decoded; the record is read in time
                log.warning("a notice was refused: %s", error)
                continue
            ref = self._waiting.pop(outcome.id, None)
            handle = ref() if ref is not None else None
            if handle is not None:
                handle.set_outcome(outcome)

    # -- reading ------------------------------------------------------------------

    def read(self, handles: list[AsyncResult[Any]]) -> None:
        """Read the records of handles, and listen to the channels of those sent by others."""
        link = self._link
        records = link.run(read(link.session, [handle.id for handle in handles]))
        foreign = set()
        for handle, found in zip(handles, records, strict=True):
            self.settle(handle, found)
            if (
                found is not None
                and handle.outcome is None
                and found.channel
                and found.channel not in self._channels
            ):
                foreign.add(found.channel)
        if foreign and self.round:
            # sent by other processes: their channels are listened to as well, from a new round on
            self._begin(foreign)

    def settle(self, handle: AsyncResult[Any], found: Record | None) -> None:
        """Put what a record says into the handle."""
        if found is None:
            handle.set_missing(expired=False)
            return
        handle.last_state = found.state
        if found.state not in FINAL:
            return
        if not found.outcome:
            handle.set_missing(expired=True)
            return
        outcome = decode_outcome(found.outcome, self._link.results, expect_id=handle.id)
        check_state(outcome, found)
        handle.set_outcome(outcome)
        self._waiting.pop(handle.id, None)


class Waiter:
    """One wait for some handles, which may be continued: what was caught up with stays so."""

    __slots__ = ("_handles", "_inbox", "_read_again", "_round", "_warn_at")

    def __init__(self, inbox: Inbox, handles: Sequence[AsyncResult[Any]]) -> None:
        """Begin; `Inbox.waiter` does it."""
        now = time.monotonic()
        self._inbox = inbox
        self._handles = handles
        self._round = 0
        self._read_again = now + READ_AGAIN_S
        self._warn_at = now + NOBODY_SERVES_S
        for handle in handles:
            inbox.expect(handle)

    def wait(self, timeout_s: float | None, enough: Callable[[], bool]) -> bool:
        """Wait until `enough()`, and tell whether it is.

        Args:
            timeout_s: How long at most; None for ever.
            enough: Checked after each thing heard.
        """
        inbox = self._inbox
        if enough():
            return True
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if self._round != inbox.round or not self._round:
                self._round = inbox.catch_up(self._handles)
                if enough():
                    return True
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return False
            if now >= self._warn_at:
                self._warn_at = float("inf")
                waiting = next((handle for handle in self._handles if handle.outcome is None), None)
                if waiting is not None:
                    inbox.nobody_serves(waiting.id)
            until = min(now + LISTEN_S, self._warn_at)
            if deadline is not None and deadline < until:
                until = deadline
            if not self._round:
                time.sleep(min(0.1, max(0.0, until - now)))
                continue
            inbox.listen(max(0.0, until - now), enough)
            if enough():
                return True
            if time.monotonic() >= self._read_again:
                self._read_again = time.monotonic() + READ_AGAIN_S
                self._round = 0
                for handle in self._handles:
                    handle.round = 0


def check_state(outcome: Outcome, found: Record) -> None:
    """Raise `InvariantBroken` if a signed outcome does not say what its record says."""
    if outcome.state != found.state.value:
        raise InvariantBroken(
            f"the record of {outcome.id} says {found.state}, its signed outcome says {outcome.state}"
        )
