"""Asking a node that is in trouble: what passes by itself is waited for, like a node that does not answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from taskmesh.core.steps import Pause, Steps
from taskmesh.errors import NodeFault, NodeUnavailable, StaleView
from taskmesh.nodes.link import Link
from taskmesh.replication.join import PASSING

T = TypeVar("T")
log = logging.getLogger("taskmesh.worker")

#: How long to leave a node alone that answered with one of them.
PAUSE_S = 0.2
#: How long whoever cannot begin waits before the next try: first, and at most. On several nodes a try may be over
#: at once.
AGAIN_S_MIN, AGAIN_S_MAX = 0.05, 1.0
#: How often it is told of meanwhile.
TELL_S = 10.0


def begin_patiently(begin: Callable[[], T], who: str) -> T:
    """Begin something that has to reach the mesh, and try until it does.

    Args:
        begin: Begins it.
        who: Waits for that, as logs have it.
    """
    pause_s, tell_at_s = AGAIN_S_MIN, time.monotonic()
    while True:
        try:
            return begin()
        except NodeUnavailable as error:
            now_s = time.monotonic()
            if now_s >= tell_at_s:
                log.warning("%s waits for the node: %s", who, error)
                tell_at_s = now_s + TELL_S
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, AGAIN_S_MAX)


def run_patiently(
    link: Link, steps: Steps[T], patience_s: float | None = None, *, within_s: float | None = None
) -> T:
    """Run a protocol, and count errors that pass as no answer.

    Args:
        link: To the mesh.
        steps: The protocol.
        patience_s: After so long it does not ask again, whatever patience it has itself.
        within_s: After so long no answer is waited for; None for as long as the link waits.

    Raises:
        NodeUnavailable: No answer, or none but an error that passes: ask again.
        NodeFault: An error that repeating does not mend.
    """
    try:
        return link.run(steps if patience_s is None else _bounded(steps, link, patience_s), within_s=within_s)
    except NodeFault as error:
        if not is_passing(error):
            raise
        time.sleep(PAUSE_S)
        raise NodeUnavailable(
            f"the node refuses for now: {error}", node=link.mesh, may_be_done=False
        ) from error
    except StaleView as error:
        raise NodeUnavailable(
            f"the node is not steady: {error}", node=link.mesh, may_be_done=False
        ) from error


def _bounded(steps: Steps[T], link: Link, patience_s: float) -> Steps[T]:
    until_s = time.monotonic() + patience_s
    try:
        request = next(steps)
        while True:
            if isinstance(request, Pause) and time.monotonic() >= until_s:
                raise NodeUnavailable(
                    f"the node did not answer within {patience_s:g} s", node=link.mesh, may_be_done=True
                )
            request = steps.send((yield request))
    except StopIteration as stop:
        value: T = stop.value
        return value


def is_passing(error: NodeFault) -> bool:
    """Tell whether an error of the node will go away."""
    return text_of(error).startswith(PASSING)


def text_of(error: NodeFault) -> str:
    """Return what the node itself said."""
    return str(error.__dict__.get("text", ""))
