"""A worker among the others on a mesh of several nodes: one presence on each, all under the same incarnation.

A lease on a node lasts as long as the counter on that node moves. So a worker beats on every node, also on those from
which its children do not claim: a node may come to lead slots of which they hold messages. Where it was declared dead
on one node only, it lives on: it registers there again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

from taskmesh.codec.control import Control
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.nodes.link import ONE_NODE, Link
from taskmesh.queue.workers import Serves
from taskmesh.replication.reach import Reach
from taskmesh.worker.deaths import Death, Deaths
from taskmesh.worker.life_events import STOPPED, tell_down, tell_up
from taskmesh.worker.orders import Orders
from taskmesh.worker.page import Note
from taskmesh.worker.presence import DeclaredDead, Presence, beat_s_of, new_incarnation
from taskmesh.worker.rest import MOMENT_S, Rest, is_there
from taskmesh.worker.sentence import Sentence
from taskmesh.worker.words import are

log = logging.getLogger("taskmesh.worker")

#: Dead children of whom a node that is away is told later; of others the worker's own end, or its lease, tells.
OWED_MAX = 1000


class _Place:
    """One node, as a supervisor sees it.

    Attributes:
        link: To it.
        presence: There.
        rest: When it is asked again.
        owed: What is to be put back there.
        is_told: Whether it has what this worker tells of itself.
        epoch: In which it was told.
    """

    def __init__(self, link: Link, presence: Presence) -> None:
        self.link = link
        self.presence = presence
        self.rest = Rest()
        self.owed: deque[Callable[[], int]] = deque(maxlen=OWED_MAX)
        self.is_told = True
        self.epoch = link.session.epoch


class MeshPresence:
    """One life of a worker on a mesh of several nodes. Methods as those of `Presence`, but for what stands there."""

    def __init__(
        self,
        link: Link,
        worker: str,
        serves: Serves,
        *,
        lease_ttl_s: float,
        max_crashes: int,
        dead_expires_s: int,
        before: Presence | None = None,
        reach: Reach | None = None,
    ) -> None:
        """Prepare; `register` begins.

        Arguments as those of `Presence`; `before` is this life on one node, and `reach` is told who answers beats.
        """
        self.incarnation = new_incarnation() if before is None else before.incarnation
        self._is_new = before is None
        self._worker = worker
        self._link = link
        self._reach = reach or Reach()
        orders = Orders(link.controls, worker) if before is None else before.orders_heard
        self._deaths = Deaths(lambda: link.home)
        self._make: Callable[[str], Presence] = lambda node: Presence(
            link.at(node),
            worker,
            serves,
            lease_ttl_s=lease_ttl_s,
            max_crashes=max_crashes,
            dead_expires_s=dead_expires_s,
            incarnation=self.incarnation,
            orders=orders,
            within_s=MOMENT_S,
            death_of=partial(self._deaths.at, node),
        )
        self._places: dict[str, _Place] = {}
        # of whom that was said; one that a view leaves out meanwhile is still among them
        self._away: set[str] = set()
        self._info = b""
        self.beat_s = beat_s_of(lease_ttl_s)
        self.undertaker = MeshUndertaker(self._usable, self._missed, self._deaths)

    @property
    def is_registered(self) -> bool:
        """Whether it is on any node."""
        return any(place.presence.is_registered for place in self._places.values())

    def _here(self) -> dict[str, _Place]:
        """Return the nodes that there are now."""
        nodes = self._link.nodes
        for node in [node for node in self._places if node not in nodes]:
            del self._places[node]
        for node in nodes:
            if node not in self._places:
                self._places[node] = _Place(self._link.at(node), self._make(node))
        return self._places

    def _usable(self) -> Iterator[tuple[str, _Place, bool]]:
        """Yield each node, and whether it can be asked now; first those that answered last."""
        for node, place in sorted(self._here().items(), key=lambda item: item[1].rest.misses):
            now_s = time.monotonic()
            can_be = now_s >= place.rest.until_s
            if can_be and place.rest.misses and not is_there(place.link):
                self._missed(place)
                can_be = False
            yield node, place, can_be

    def _missed(self, place: _Place) -> None:
        place.presence.missed()
        place.rest.missed(time.monotonic())

    def _each(self, ask: Callable[[_Place], None]) -> int:
        """Ask every node that can be asked, and return how many answered.

        Raises:
            NodeUnavailable: None did.
        """
        answered, missed = 0, "no node of the mesh can be used"
        for node, place, can_be in self._usable():
            if not can_be:
                continue
            try:
                ask(place)
            except NodeUnavailable as error:
                missed = str(error)
                self._missed(place)
                self._say_away(node, error)
            except NodeFault:
                # should it last, others take over what is held there
                self._missed(place)
                log.exception("node %s cannot be used", node)
            else:
                place.rest.answered(0.0, 0.0)
                self._say_back(node)
                answered += 1
        if not answered:
            raise NodeUnavailable(missed, node=self._link.mesh, may_be_done=True)
        return answered

    def _say_away(self, node: str, error: NodeUnavailable) -> None:
        """Say that a node is away, once until it answers again."""
        if node not in self._away:
            self._away.add(node)
            log.warning("node %s: %s", node, error)

    def _say_back(self, node: str) -> None:
        if node in self._away:
            self._away.discard(node)
            log.info("node %s answers again", node)

    # -- as a presence --------------------------------------------------------------

    def register(self, info: bytes, report: bytes = b"") -> None:
        """Make this incarnation known; on nodes that are away it is with the first beat that reaches them."""
        self._info = info
        self._each(lambda place: place.presence.register(info, report))
        if self._is_new and self.is_registered:
            self._is_new = False
            tell_up(self._link, self.incarnation, self._worker, info)

    def warn_of_namesakes(self) -> None:
        """Say so if another live worker has this one's name."""
        for place in self._places.values():
            if place.presence.is_registered:
                place.presence.warn_of_namesakes()
                return

    def tell(self, info: bytes) -> None:
        """Change what this incarnation tells of itself; nodes that are away are told later."""
        self._info = info
        for place in self._places.values():
            place.is_told = False
        self._each(self._tell)

    def _tell(self, place: _Place) -> None:
        place.presence.tell(self._info)
        place.is_told = True

    def beat(self, own: Collection[bytes], report: bytes = b"") -> None:
        """Move the counters, take over from the dead, and put back what nodes could not take before.

        Raises:
            DeclaredDead: This incarnation holds nothing any more on any node that answers, and these are most.
            NodeUnavailable: No counter may have moved.
        """
        dead: list[_Place] = []
        try:
            self._link.measure_clock(MOMENT_S)
        except NodeUnavailable as error:
            log.debug("the clock of before goes on: %s", error)
        try:
            answered = self._each(partial(self._beat, own=own, report=report, dead=dead))
        finally:
            self._note_reach()
        if len(dead) == answered and 2 * answered > len(self._places):
            raise DeclaredDead("declared dead on every node that answers")
        for place in dead:
            log.warning(
                "this worker was declared dead on %s; it registers there again", place.link.driver.address
            )
        if dead:
            self._each(lambda place: self._revive(place, own, report) if place in dead else None)

    def _note_reach(self) -> None:
        view = self._link.view
        if view is not None:
            answered = [node for node, place in self._places.items() if not place.rest.misses]
            self._reach.looked(view, answered, time.monotonic())

    def _beat(self, place: _Place, *, own: Collection[bytes], report: bytes, dead: list[_Place]) -> None:
        presence = place.presence
        if not presence.is_registered:
            # messages of children that are no more may have come here from other nodes
            presence.revive(self._info, report, own)
        if place.epoch != self._link.session.epoch:
            # a node that was told by others that this worker lives knows nothing else of it
            place.is_told, place.epoch = False, self._link.session.epoch
        if not place.is_told:
            self._tell(place)
        try:
            presence.beat_at(own, report)
        except DeclaredDead:
            dead.append(place)
            return
        while place.owed:
            count = place.owed[0]()
            place.owed.popleft()
            if count:
                log.info("%s back in line, which a child held that died a while ago", are(count))

    def _revive(self, place: _Place, own: Collection[bytes], report: bytes) -> None:
        place.presence.revive(self._info, report, own)

    def orders(self) -> list[Control]:
        """Return the orders that are to be obeyed now, of all nodes; each is returned once."""
        found: list[Control] = []
        self._each(lambda place: found.extend(place.presence.orders()))
        return found

    def missed(self) -> None:
        """Note that a beat failed everywhere."""
        for place in self._places.values():
            place.presence.missed()

    def leave(self) -> bool:
        """Sign off, and tell whether nothing is left of this incarnation on the nodes that answer."""
        gone: list[bool] = []
        self._each(lambda place: gone.append(place.presence.leave()))
        tell_down(self._link, self.incarnation, self._worker, STOPPED)
        return all(gone)


class MeshUndertaker:
    """Puts back what dead children held, on every node. A node that is away is told when it is there again."""

    def __init__(
        self,
        usable: Callable[[], Iterator[tuple[str, _Place, bool]]],
        missed: Callable[[_Place], None],
        deaths: Deaths,
    ) -> None:
        """Prepare.

        Args:
            usable: Yields the nodes, and whether each can be asked.
            missed: Is told of one that did not answer.
            deaths: Remembers who died, for nodes that hold what moves to them later.
        """
        self._usable = usable
        self._missed = missed
        self._deaths = deaths

    def child_died(
        self,
        holder: bytes,
        queues: Sequence[bytes],
        note: Note | None,
        how: str,
        *,
        singly: bool = False,
        last: Note | None = None,
        sentence: Sentence | None = None,
    ) -> int:
        """Put back what a child held, and return how many messages that were. Arguments as `Undertaker` has them."""
        total = 0
        self._deaths.remember(holder, Death(note, how, singly, last, sentence))
        for node, place, can_be in self._usable():
            death = self._deaths.at(node, holder)
            bury = partial(
                place.presence.undertaker.child_died,
                holder,
                queues,
                death.note,
                how,
                singly=singly,
                last=death.last,
                sentence=death.sentence,
            )
            try:
                if can_be:
                    total += bury()
                    continue
            except NodeUnavailable as error:
                log.warning("what a dead child held on node %s is not back in line yet: %s", node, error)
                self._missed(place)
            except NodeFault:
                # nothing that repeating mends: it is taken over when this life ends
                log.exception("what a dead child held on node %s cannot be put back", node)
                continue
            place.owed.append(bury)
        return total


def make_presence(
    link: Link,
    worker: str,
    serves: Serves,
    *,
    lease_ttl_s: float,
    max_crashes: int,
    dead_expires_s: int,
    before: Presence | None = None,
    reach: Reach | None = None,
) -> Presence | MeshPresence:
    """Return a life of a worker, on however many nodes.

    Arguments as those of `Presence` and, where the only node has become one of several, of `MeshPresence`.
    """
    if link.nodes != ONE_NODE:
        return MeshPresence(
            link,
            worker,
            serves,
            lease_ttl_s=lease_ttl_s,
            max_crashes=max_crashes,
            dead_expires_s=dead_expires_s,
            before=before,
            reach=reach,
        )
    return Presence(
        link,
        worker,
        serves,
        lease_ttl_s=lease_ttl_s,
        max_crashes=max_crashes,
        dead_expires_s=dead_expires_s,
    )
