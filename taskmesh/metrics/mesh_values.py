"""What the nodes tell of a mesh, for metrics: asked when somebody wants to know, and then believed for a moment.

A thread asks, and whoever serves the metrics waits for it only so long. What could not be asked is absent: a number
that nobody has confirmed would hide that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from taskmesh.core.state import FINAL, LETTER
from taskmesh.errors import TaskMeshError
from taskmesh.metrics.bounded import Bounded
from taskmesh.metrics.exposition import Samples
from taskmesh.metrics.leader_seen import LeaderSeen
from taskmesh.nodes.link import ONE_NODE
from taskmesh.nodes.node_facts import NodeFacts, read_facts
from taskmesh.queue.manage import Status, status
from taskmesh.queue.oldest import oldest
from taskmesh.replication.view import DRAINED, UP, copies_missing

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh.metrics")

#: Answers of the nodes are passed on for so long.
FRESH_S = 2.0
#: How long whoever asks waits for newer ones.
WAIT_S = 1.5
#: Where that takes longer, older answers are passed on, up to this age: with thousands of queues it may.
STALE_S = 15.0
#: How long one node may take to tell of itself, and the mesh to count.
NODE_S, MESH_S = 0.5, 5.0
#: Nodes, of many, that are told apart; and that are asked at once.
NODES_MAX, AT_ONCE_MAX = 64, 32
_AGE = "taskmesh_queue_oldest_age_seconds"
_OF_QUEUES = ("taskmesh_queue_ready", "taskmesh_queue_idle_children", "taskmesh_queue_blocked")
_ENDS = {LETTER[state].decode(): state.value for state in FINAL}


class MeshValues:
    """Asks the nodes of one mesh."""

    def __init__(
        self,
        link: Callable[[], Link | None],
        agreement: Callable[[Link], Agreement],
        queues: Callable[[], Iterable[str]],
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            link: Returns the link to the mesh; None as long as there is none.
            agreement: Makes a way to its registers, for the thread that asks.
            queues: Names those that are to be told apart first.
        """
        self._link = link
        self._make_agreement = agreement
        self._queues = queues
        self._agreement: tuple[Link, Agreement] | None = None
        self._leader = LeaderSeen()
        self._labels = Bounded()
        self._ended: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._under_way: threading.Event | None = None
        self._found = Samples()
        self._found_at_s = float("-inf")

    def read(self) -> Samples:
        """Return what is known, no older than a moment; where the nodes do not answer in time, that none is up."""
        with self._lock:
            if time.monotonic() - self._found_at_s < FRESH_S:
                return self._found
            done = self._under_way
            if done is None:
                done = threading.Event()
                # it may be that no thread can be had now: then nothing is under way, and the next one tries again
                threading.Thread(target=self._ask, args=(done,), name="taskmesh-metrics", daemon=True).start()
                self._under_way = done
        in_time = done.wait(WAIT_S)
        with self._lock:
            is_stale = time.monotonic() - self._found_at_s > STALE_S
            return self._found if in_time or not is_stale else _nothing(self._link())

    def close(self) -> None:
        """Let go of the connections."""
        if self._agreement is not None:
            self._agreement[1].close()

    def _ask(self, done: threading.Event) -> None:
        found = _nothing(None)
        try:
            link = self._link()
            found = self._look(link) if link is not None and link.is_open else _nothing(link)
        except Exception:
            log.exception("the nodes cannot be asked for metrics")
        finally:
            with self._lock:
                self._found, self._found_at_s, self._under_way = found, time.monotonic(), None
            done.set()
        self._look_for_a_newer_view()

    def _look_for_a_newer_view(self) -> None:
        """Go by a newer view from the next time on; nobody waits for this look.

        A process that asks the nodes for nothing, such as a scheduler that stands by, is not told that its view is old,
        and would show a node as away for ever that is long back.
        """
        try:
            link = self._link()
            if link is not None and link.is_open and link.several is not None:
                link.several.look_for_newer()
        except Exception:
            log.exception("the nodes cannot be asked for a newer view")

    # -- questions ----------------------------------------------------------------

    def _look(self, link: Link) -> Samples:
        began_s = time.monotonic()
        found = Samples()
        told = self._nodes(link, found)
        if any(told):
            # counts are told by all nodes together: some of them would tell less than there is
            for ask in (self._counts, self._lead, self._view) if all(told) else (self._lead, self._view):
                try:
                    ask(link, found)
                except TaskMeshError as error:
                    log.debug("metrics: %s", error)
        found.put("taskmesh_mesh_look_seconds", time.monotonic() - began_s)
        return found

    def _nodes(self, link: Link, found: Samples) -> list[bool]:
        """Ask each node that takes part of itself, and return of each whether it answered."""
        members = _members(link)
        told = _ask_each(link, [node for _, node in members if node is not None])
        for address, node in members[:NODES_MAX]:
            _put_node(found, address, told.get(node) if node is not None else None)
        answered = [facts is not None for facts in told.values()]
        found.put("taskmesh_nodes", len(members))
        found.put("taskmesh_nodes_up", sum(answered))
        return answered

    def _counts(self, link: Link, found: Samples) -> None:
        counted = link.run(status(link.session), within_s=MESH_S)
        served = tuple(self._queues())
        self._labels.prefer(served)
        self._labels.prefer(sorted(counted.queues, key=lambda queue: -counted.queues[queue]))
        for queue in served:  # which may hold nothing, and whoever scales by that needs a 0
            for name in _OF_QUEUES:
                found.put(name, 0, self._labels.of(queue))
        _put_counts(found, counted, self._labels)
        self._put_ended(found, counted)
        moments = link.run(oldest(link.session, sorted(counted.queues)), within_s=MESH_S)
        now_ms = link.clock.now_ms()
        for queue in {*served, *moments}:
            moment_ms = moments.get(queue, 0)
            age_s = max(0, now_ms - moment_ms) / 1000 if moment_ms else 0.0
            found.greatest(_AGE, age_s, self._labels.of(queue))

    def _put_ended(self, found: Samples, counted: Status) -> None:
        """Add how many ended; never fewer than before, though a node that was lost took with it what it had counted.

        Of every queue that is known, 0 as well: else the first that ends would be no increase.
        """
        queues = {self._labels.of(queue) for queue in (*self._queues(), *counted.queues)}
        totals = Counter({(queue, state.lower()): 0 for queue in queues for state in _ENDS.values()})
        for (queue, letter), number in counted.stats.items():
            if letter in _ENDS:
                totals[self._labels.of(queue), _ENDS[letter].lower()] += number
        for at, total in totals.items():
            self._ended[at] = max(total, self._ended.get(at, 0))
        for at, total in self._ended.items():
            found.put("taskmesh_messages_ended_total", total, *at)

    def _lead(self, link: Link, found: Samples) -> None:
        if self._agreement is None or self._agreement[0] is not link:
            self.close()
            self._agreement = link, self._make_agreement(link)
        self._leader.look(self._agreement[1], found)

    def _view(self, link: Link, found: Samples) -> None:
        view = link.view
        if view is None:
            found.put("taskmesh_view_epoch", int(link.session.epoch[:8], 16))
            return
        found.put("taskmesh_view_epoch", view.number)
        found.put("taskmesh_copies_missing", copies_missing(view))


def _members(link: Link) -> list[tuple[str, str | None]]:
    """Return where each node of the mesh is, and its name; None for one that takes no part just now."""
    view = link.view
    if view is None:
        return [(str(link.driver.address), ONE_NODE[0])]
    return [
        (member.address, member.id if member.state == UP else None)
        for member in view.members
        if member.state != DRAINED
    ]


def _ask_each(link: Link, nodes: Sequence[str]) -> dict[str, NodeFacts | None]:
    """Ask nodes at the same time, so that those which stand still cost no more than one of them."""
    if len(nodes) == 1:
        return {nodes[0]: _facts(link.at(nodes[0]))}
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE_MAX, "taskmesh-metrics") as threads:
        return dict(zip(nodes, threads.map(lambda node: _facts(link.at(node)), nodes), strict=True))


def _facts(link: Link) -> NodeFacts | None:
    try:
        return link.run(read_facts(link.session), within_s=NODE_S)
    except TaskMeshError as error:
        log.debug("metrics: %s", error)
        return None


def _nothing(link: Link | None) -> Samples:
    """Return that no node is up."""
    found = Samples()
    if link is not None:
        found.put("taskmesh_nodes", len(_members(link)) if link.is_open else len(ONE_NODE))
    found.put("taskmesh_nodes_up", 0)
    return found


def _put_node(found: Samples, node: str, facts: NodeFacts | None) -> None:
    found.put("taskmesh_node_up", int(facts is not None), node)
    if facts is None:
        return
    found.put("taskmesh_node_connections", facts.clients, node)
    found.put("taskmesh_node_memory_bytes", facts.memory_used, node)
    if facts.memory_limit:
        found.put("taskmesh_node_memory_limit_bytes", facts.memory_limit, node)


def _put_counts(found: Samples, counted: Status, labels: Bounded) -> None:
    for queue, ready in counted.queues.items():
        label = labels.of(queue)
        found.add("taskmesh_queue_ready", ready, label)
        found.add("taskmesh_queue_idle_children", counted.idle.get(queue, 0), label)
        found.add("taskmesh_queue_blocked", counted.blocked.get(queue, 0), label)
    for queue in counted.paused:
        found.greatest("taskmesh_queue_paused", 1, labels.of(queue))
    found.put("taskmesh_delayed", max(0, counted.delayed - counted.parked))
    found.put("taskmesh_parked", counted.parked)
    found.put("taskmesh_dead_letters", counted.dead)
    found.put("taskmesh_running", sum(worker[4] for worker in counted.workers))
    for state in ("live", "dead"):
        found.put("taskmesh_workers", sum(worker[1] == state for worker in counted.workers), state)
