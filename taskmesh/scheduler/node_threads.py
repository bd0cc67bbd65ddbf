"""Threads that look after the nodes of a mesh: the leader's, and those whose word a leader needs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.errors import LeadershipLost, TaskMeshError
from taskmesh.nodes.node_watch import NodeWatch
from taskmesh.replication.observing import LOOK_S, Observer, look_again_s
from taskmesh.scheduler.node_care import NodeCare

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link
    from taskmesh.nodes.several import Several

log = logging.getLogger("taskmesh.scheduler")
#: After how long a leader that met another one looks whether it leads still.
AGAIN_S = 2.0


def begin_node_care(
    link: Link,
    agreement: Agreement,
    token: int,
    leads: Callable[[], bool],
    stopping: threading.Event,
    observer: Observer,
) -> None:
    """Look after the nodes for as long as this process leads; nothing where there is but one.

    Args:
        link: To the mesh.
        agreement: The leader's way to the registers; another one is made of it.
        token: The leader's.
        leads: Whether the lead lasts.
        stopping: Is set when this process ends.
        observer: What this process sees of the nodes, whether it leads or not.
    """
    several = link.several
    if several is None:
        return
    own = agreement.another()
    threading.Thread(
        target=_care,
        args=(link, several, own, token, leads, stopping, observer),
        name="taskmesh-nodes",
        daemon=True,
    ).start()


def _care(
    link: Link,
    several: Several,
    agreement: Agreement,
    token: int,
    leads: Callable[[], bool],
    stopping: threading.Event,
    observer: Observer,
) -> None:
    care: NodeCare | None = None
    said = ""
    try:
        while leads():
            try:
                if care is None:
                    care = NodeCare(link, several, agreement, token, leads, observer)
                wait_s = care.turn()
            except LeadershipLost as error:
                log.warning("nodes are left to another leader: %s", error)
                wait_s = AGAIN_S
            except TaskMeshError as error:
                # a majority may be there in a moment
                if str(error) != said:
                    log.warning("nodes cannot be seen to for now: %s", error)
                said, wait_s = str(error), LOOK_S
            else:
                said = ""
            stopping.wait(wait_s)
    except Exception:
        log.exception("nodes are not seen to any more: an error that nobody expected")
    finally:
        if care is not None:
            care.close()
        agreement.close()


def begin_observing(
    link: Link, stopping: threading.Event, leads: Callable[[], bool], observer: Observer
) -> None:
    """Look at the nodes as one of those whose word the leader needs; nothing where there is but one node.

    Args:
        link: To the mesh; it need not be joined yet.
        stopping: Is set when this process ends.
        leads: Whether this process leads, and so looks anyway.
        observer: What this process sees of the nodes, whether it leads or not.
    """
    threading.Thread(
        target=_observe, args=(link, stopping, leads, observer), name="taskmesh-observer", daemon=True
    ).start()


def _observe(link: Link, stopping: threading.Event, leads: Callable[[], bool], observer: Observer) -> None:
    watch: NodeWatch | None = None
    try:
        while not stopping.is_set():
            wait_s = LOOK_S
            try:
                several = link.open().several
                if several is None or several.standing is None:
                    return
                if watch is None:
                    watch = NodeWatch(link, several, observer)
                if not leads():
                    watch.look(several.standing.view)
                wait_s = look_again_s(watch.observers, is_unsure=watch.is_unsure)
            except TaskMeshError as error:
                log.debug("the nodes cannot be looked at: %s", error)
            stopping.wait(wait_s)
    except Exception:
        log.exception("the nodes are not looked at any more: an error that nobody expected")
    finally:
        if watch is not None:
            watch.close()
