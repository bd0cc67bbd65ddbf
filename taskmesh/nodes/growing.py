"""The only node of a mesh becomes the first of several, while processes speak with it.

One of them makes the first view, of that node alone and with all it holds. The others are told by the node that it
obeys a view now, the next time they ask it anything, and go by that view from then on: see `replication/outgrown.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from taskmesh.core import keys
from taskmesh.core.steps import Session
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.several import Learned, Several
from taskmesh.replication.ask import plain
from taskmesh.replication.pin import pin
from taskmesh.replication.seek import seek_view

if TYPE_CHECKING:
    from taskmesh.nodes.sync_driver import SyncDriver
    from taskmesh.replication.founding import Making
    from taskmesh.replication.view import View

#: How long whoever has all the time waits for the view, and how often it is looked for.
PATIENCE_S, LOOK_S = 10.0, 0.05
#: After so long who makes it is taken for dead, and whoever waits goes on with what that one began.
HELP_S = 3.0


def learn_others(
    several: Several,
    session: Session,
    making: Callable[[Sequence[str]], Making],
    within_s: float | None,
    *,
    makes: bool,
) -> tuple[Learned, str]:
    """Return the view of which the only node is a member, and its id there.

    Args:
        several: That node alone.
        session: Of the mesh.
        making: Tells of what a mesh of several is made.
        within_s: How long the caller has; None for a while.
        makes: Whether the view is to be made; else somebody else is at it.

    Raises:
        NodeUnavailable: The node does not answer, or there is no view yet.
    """
    learned = _make(several, session, making) if makes else _wait(several, session, making, within_s)
    me = plain(session, b"HGET", keys.me(session.prefix), b"id")
    node: bytes = several.driver.run(pin(me, learned.by), within_s=within_s)
    return learned, node.decode()


def _make(several: Several, session: Session, making: Callable[[Sequence[str]], Making]) -> Learned:
    return several.learn(making, session.prefix, None)


def _wait(
    several: Several,
    session: Session,
    making: Callable[[Sequence[str]], Making],
    within_s: float | None,
) -> Learned:
    """Wait for the view that somebody makes."""
    begun_s = time.monotonic()
    patience_s = PATIENCE_S if within_s is None else within_s
    nodes = tuple(several.seeds)
    while True:
        sought = several.driver.run(seek_view(session.prefix, nodes), within_s=within_s)
        if sought.view is not None:
            return Learned(sought.view, sought.by, is_new=False)
        waited_s = time.monotonic() - begun_s
        if waited_s >= HELP_S:
            return _make(several, session, making)
        if waited_s >= patience_s:
            raise NodeUnavailable(
                f"node {nodes[0]} is becoming one of several, and has no view of them yet",
                node=nodes[0],
                may_be_done=False,
            )
        time.sleep(LOOK_S)


def have_succeed(
    alone: SyncDriver, several: Several, view: View, session: Session, home: str
) -> Callable[[], None]:
    """Have what runs on the only node go on by a view, also in other threads.

    Args:
        alone: What ran it until now.
        several: The nodes.
        view: The view.
        session: Of the mesh.
        home: The node's id.

    Returns:
        What has the session follow the view, to be called last: a call that is made by the epoch of several must meet
        a driver that knows what they answer.
    """
    several.begin(view, Session(session.prefix, b"", session.slots, session.now_ms), home=home)
    alone.succeeded_by(several.driver_at(""))
    return lambda: several.take_session(session)
