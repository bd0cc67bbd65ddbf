"""The leader's look for queues that have work and no tickets: these get some, so one that is lost costs time only.

Tickets are lost with a broker's disk, purged, or never sent: by a caller that ended while the broker was away, and
for what comes back in line (retries, delayed messages, those of the dead, of a queue that goes on). In a thread of its
own, since a broker that is away costs whoever asks it some seconds. A leader of before that goes on does no harm.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.broker.contract import TICKETS_MAX, Broker
from taskmesh.core import keys
from taskmesh.errors import TaskMeshError
from taskmesh.queue.backlog import backlogs
from taskmesh.queue.pause import paused_queues
from taskmesh.replication.ask import plain

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh.scheduler")
#: How often it looks.
SWEEP_S = 1.0
#: So many queues are counted in one step of a node.
QUEUES_AT_ONCE = 200
#: How long a node may take for one answer.
NODE_S = 1.0


def begin_ticket_sweep(
    link: Link, broker: Broker, leads: Callable[[], bool], stopping: threading.Event
) -> None:
    """Look for as long as this process leads.

    Args:
        link: To the mesh.
        broker: Of the mesh.
        leads: Whether the lead lasts.
        stopping: Is set when this process ends.
    """
    threading.Thread(
        target=_sweep, args=(link, broker, leads, stopping), name="taskmesh-ticket-sweep", daemon=True
    ).start()


def _sweep(link: Link, broker: Broker, leads: Callable[[], bool], stopping: threading.Event) -> None:
    is_hindered = False
    while leads():
        try:
            sweep(link, broker)
        except TaskMeshError as error:
            if not is_hindered:
                log.warning("queues without tickets cannot be looked for now: %s", error)
            is_hindered = True
        except Exception:
            # of a broker's library: the next look may fare better
            log.exception("an error that nobody expected, in the look for queues without tickets")
        else:
            is_hindered = False
        stopping.wait(SWEEP_S)


def sweep(link: Link, broker: Broker) -> dict[str, int]:
    """Announce what is ready in queues for which no ticket waits, and return how much that was.

    Raises:
        NodeUnavailable: A node does not answer, and was all there is.
    """
    announced: dict[str, int] = {}
    for queue, ready in sorted(_ready(link).items()):
        if broker.waiting(queue) == 0:
            announced[queue] = min(ready, TICKETS_MAX)
            broker.announce(queue, announced[queue])
    return announced


def _ready(link: Link) -> Counter[str]:
    """Return how much is ready in queues that are not paused, on the nodes that answer."""
    found: Counter[str] = Counter()
    failed: TaskMeshError | None = None
    for node in link.nodes:
        try:
            found.update(_ready_at(link.at(node)))
        except TaskMeshError as error:
            failed = error
            log.debug("node %s: %s", node, error)
    if failed is not None and not found:
        raise failed
    return found


def _ready_at(link: Link) -> dict[str, int]:
    session = link.session
    names = link.run(plain(session, b"SMEMBERS", keys.queues(session.prefix)), within_s=NODE_S)
    queues = sorted({name.decode(errors="replace") for name in names} - set(_paused(link)))
    ready: dict[str, int] = {}
    for at in range(0, len(queues), QUEUES_AT_ONCE):
        counted = link.run(backlogs(session, queues[at : at + QUEUES_AT_ONCE]), within_s=NODE_S)
        ready.update({queue: count for queue, (count, _) in (counted or {}).items() if count})
    return ready


def _paused(link: Link) -> list[str]:
    return link.run(paused_queues(link.session), within_s=NODE_S)
