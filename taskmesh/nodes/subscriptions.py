"""A subscription to notice channels on every node of a mesh, read as one.

A notice comes from the node that led the slot, so who waits listens to all. A node that is lost, or silent, keeps
nobody from hearing the others: it is tried again in the background, by a thread of its own. Each time one is lost, and
each time one is heard again, there is a *gap*: something may have been missed, and what is waited for is to be read
once.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from taskmesh.errors import NodeUnavailable, TaskMeshError
from taskmesh.nodes.subscription import READ_S_MIN, Subscription

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link

#: How long the first node to be heard waits for the others.
GRACE_S = 0.5
#: How often nodes that are not heard are tried again, and how often that is looked at.
AGAIN_S, TEND_S = 1.0, 0.25

Opened: TypeAlias = tuple[str, "Subscription | NodeUnavailable"]


def subscribe(
    link: Link, channels: Iterable[bytes], *, within_s: float | None = None
) -> Subscription | Subscriptions:
    """Return a subscription on all nodes of the mesh; when this returns, the channels are confirmed.

    Args:
        link: To the mesh, which has been joined.
        channels: At least one.
        within_s: How long the caller has; None for as long as the driver waits for an answer.

    Raises:
        NodeUnavailable: No node can be reached.
    """
    if link.several is None:
        return Subscription(
            link.at(link.nodes[0]).driver,
            channels,
            within_s=within_s,
            # others may lead the slots that are waited for: who listens begins anew, and reads
            is_outgrown=lambda: link.several is not None,
        )
    return Subscriptions(link, channels, within_s=within_s)


class Subscriptions:
    """One connection to each node, each of which only listens.

    One thread may read at a time; channels may be added and removed by any thread meanwhile.

    Attributes:
        gaps: How often notices may have been missed though it goes on.
    """

    def __init__(self, link: Link, channels: Iterable[bytes], *, within_s: float | None = None) -> None:
        """Connect and subscribe, see `subscribe`."""
        self.gaps = 0
        self._link = link
        self._wanted = set(channels)
        self._within_s = within_s
        self._lock = threading.Lock()
        self._heard: dict[str, Subscription] = {}
        self._opening: set[str] = set()
        self._opened: deque[Opened] = deque()
        self._arrived = threading.Condition(self._lock)
        self._tend_at_s: dict[str, float] = {}
        self._tended_s = 0.0
        self._turn = 0
        self._closed = False
        self._begin()

    # -- nodes --------------------------------------------------------------------

    def _begin(self) -> None:
        """Wait for the first node, and a moment for the others."""
        began_s = time.monotonic()
        failures: list[NodeUnavailable] = []
        with self._arrived:
            for node in self._link.nodes:
                self._open(node)
            while self._opening:
                waited_s = time.monotonic() - began_s
                most_s = min(GRACE_S, self._within_s or GRACE_S) if self._heard else self._within_s
                if most_s is not None and waited_s >= most_s:
                    break
                self._arrived.wait(None if most_s is None else most_s - waited_s)
                failures += self._take_in()
            failures += self._take_in()
            if self._heard:
                return
            self._closed = True
        raise (
            failures[0]
            if failures
            else NodeUnavailable(
                f"cannot listen to any node within {self._within_s:g} s", node=self._link.mesh
            )
        )

    def _open(self, node: str) -> None:
        self._opening.add(node)
        threading.Thread(
            target=self._connect, args=(node, set(self._wanted)), name=f"listen to {node}", daemon=True
        ).start()

    def _connect(self, node: str, channels: set[bytes]) -> None:
        opened: Subscription | NodeUnavailable
        try:
            opened = Subscription(self._link.at(node).driver, channels, within_s=self._within_s)
        except NodeUnavailable as error:
            opened = error
        except TaskMeshError as error:
            # it has just left the mesh, or nobody knows where it is
            opened = NodeUnavailable(f"cannot listen to node {node}: {error}", node=node)
        if isinstance(opened, NodeUnavailable) and self._link.several is not None:
            # another process may be admitted there by now, or another node lead its slots
            self._link.several.look_for_newer()
        with self._arrived:
            self._opening.discard(node)
            self._tend_at_s[node] = time.monotonic() + AGAIN_S
            if not self._closed:
                self._opened.append((node, opened))
                self._arrived.notify()
                return
        if isinstance(opened, Subscription):
            opened.close()

    def _take_in(self) -> list[NodeUnavailable]:
        """Hear those that have been opened, under the lock; return why others have not."""
        failures = []
        while self._opened:
            node, opened = self._opened.popleft()
            if isinstance(opened, Subscription):
                self._heard[node] = opened
            else:
                failures.append(opened)
        return failures

    def _tend(self) -> bool:
        """Try nodes again that are not heard, hear those no more that have left; tell whether one is heard again."""
        now_s = time.monotonic()
        if not self._opened and now_s < self._tended_s + TEND_S:
            return False
        self._tended_s = now_s
        nodes = self._link.nodes
        with self._lock:
            for node in nodes:
                if node in self._heard or node in self._opening or now_s < self._tend_at_s.get(node, 0.0):
                    continue
                self._open(node)
            before = len(self._heard)
            self._take_in()
            again = len(self._heard) > before
            gone = [node for node in self._heard if node not in nodes]
            left = [self._heard.pop(node) for node in gone]
            late = (
                [each for each in self._heard.values() if not self._wanted <= each.channels] if again else []
            )
        for each in left:
            each.close()
        for each in late:
            self._each(lambda heard: heard.add(self._wanted), [each])
        return again

    def _each(self, do: Callable[[Subscription], None], these: Iterable[Subscription]) -> None:
        """Do something with connections; those that are lost are tried again.

        Raises:
            NodeUnavailable: None is left.
        """
        for each in these:
            try:
                do(each)
            except NodeUnavailable as error:
                self._drop(each, error)

    def _drop(self, lost: Subscription, error: NodeUnavailable) -> None:
        with self._lock:
            for node, each in list(self._heard.items()):
                if each is lost:
                    del self._heard[node]
                    self._tend_at_s[node] = 0.0
            self.gaps += 1
            if self._heard and not self._closed:
                return
            self._closed = True
        self.close()
        raise error

    # -- as one -------------------------------------------------------------------

    @property
    def channels(self) -> set[bytes]:
        """Those that all nodes which are heard have confirmed: no later notice of theirs is missed."""
        with self._lock:
            confirmed = [set(each.channels) for each in self._heard.values()]
        return set.intersection(*confirmed) if confirmed else set()

    def add(self, channels: Iterable[bytes]) -> None:
        """Ask for more channels, as `Subscription.add`."""
        new = set(channels)
        with self._lock:
            self._wanted |= new
            heard = list(self._heard.values())
        self._each(lambda each: each.add(new), heard)

    def remove(self, channels: Iterable[bytes]) -> None:
        """Ask for fewer channels, as `Subscription.remove`."""
        old = set(channels)
        with self._lock:
            self._wanted -= old
            heard = list(self._heard.values())
        self._each(lambda each: each.remove(old), heard)

    def read(self, timeout_s: float) -> bytes | None:
        """Return the next notice of any node, as `Subscription.read`; `b""` also after a gap.

        Raises:
            NodeUnavailable: No node is heard any more.
        """
        until_s = time.monotonic() + timeout_s
        while True:
            if self._tend():
                self.gaps += 1
                return b""
            with self._lock:
                heard = list(self._heard.values())
            if not heard:
                raise NodeUnavailable("lost all nodes: the subscription was closed", node=self._link.mesh)
            # in turns: who has much to tell does not drown out the others
            self._turn = (self._turn + 1) % len(heard)
            heard = heard[self._turn :] + heard[: self._turn]
            found = self._from(heard, READ_S_MIN, received=True)
            if found is not None:
                return found
            left_s = until_s - time.monotonic()
            ready = _ready(heard, max(0.0, min(left_s, TEND_S)))
            found = self._from(ready, READ_S_MIN)
            if found is not None:
                return found
            if left_s <= 0:
                return None

    def _from(
        self, these: Iterable[Subscription], timeout_s: float, *, received: bool = False
    ) -> bytes | None:
        for each in these:
            try:
                found = each.received() if received else each.read(timeout_s)
            except NodeUnavailable as error:
                self._drop(each, error)
                return b""
            if found is not None:
                return found
        return None

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._closed = True
            heard = [
                *self._heard.values(),
                *(each for _, each in self._opened if isinstance(each, Subscription)),
            ]
            self._opened.clear()
        for each in heard:
            each.close()


def _ready(these: Iterable[Subscription], timeout_s: float) -> list[Subscription]:
    """Return those that have something to read, or are lost."""
    by_number = {each.fileno(): each for each in these}
    if -1 in by_number:
        return [by_number[-1]]  # closed by another thread: reading says so
    poller = select.poll()
    for number in by_number:
        poller.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poller.poll(timeout_s * 1000)]
