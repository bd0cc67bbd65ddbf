"""Joining a mesh whose node may be silent when a worker starts."""

from __future__ import annotations

import logging
from collections.abc import Callable

from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh.worker")

#: How long to leave a node alone that was silent.
AGAIN_S = 0.2


def join_patiently(
    link: Link, worker: str, must_end: Callable[[], bool], pause: Callable[[float], None]
) -> bool:
    """Join a mesh, however long its node is silent, and tell whether that was done before the worker had to end.

    Args:
        link: To the mesh.
        worker: Name of the worker.
        must_end: Tells whether the worker must.
        pause: Waits for so many seconds, or until the worker is told to stop.

    Raises:
        ConfigError, NodeFault: As `Link.open`.
        NodeUnavailable: The node cannot be reached, or refuses.
    """
    is_told = False
    while True:
        try:
            link.open()
        except NodeUnavailable as error:
            if not link.driver.is_silent:
                raise
            if not is_told:
                log.warning("%s; worker %s waits for it", error, worker)
            is_told = True
            pause(AGAIN_S)
        else:
            return True
        if must_end():
            link.close()
            return False
