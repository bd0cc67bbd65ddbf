"""Joining a mesh whose node may not be there yet when a worker starts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh.worker")

#: How long to leave a node alone that could not be reached.
AGAIN_S = 0.2


class _ToldToStop(BaseException):
    """The worker is told to stop while it waits for its node: nothing would be lost by that."""


class Joining:
    """Joins a mesh as soon as its node is there, unless the worker has to end before.

    What a node answers is no reason to wait: it will not answer otherwise until somebody changes something.
    """

    def __init__(
        self,
        link: Link,
        worker: str,
        must_end: Callable[[], bool],
        pause: Callable[[float], None],
        *,
        within_s: float,
    ) -> None:
        """Prepare; `run` does it.

        Args:
            link: To the mesh.
            worker: Name of the worker.
            must_end: Tells whether the worker must.
            pause: Waits for so many seconds, or until the worker is told to stop.
            within_s: How long to wait; 0 for as long as it takes.
        """
        self._link = link
        self._worker = worker
        self._must_end = must_end
        self._pause = pause
        self._within_s = within_s
        self._is_under_way = False

    def interrupt(self) -> None:
        """End the wait, in the midst of an attempt. To be called by a handler of signals, in the thread that waits."""
        if self._is_under_way:
            self._is_under_way = False
            raise _ToldToStop

    def run(self) -> bool:
        """Join, and tell whether that was done before the worker had to end.

        Raises:
            ConfigError, NodeFault: As `Link.open`.
            NodeUnavailable: The node refuses, or was not there in time.
        """
        try:
            self._is_under_way = True
            if self._join():
                return True
        except _ToldToStop:
            log.debug("told to stop")
        finally:
            self._is_under_way = False
        self._link.close()
        return False

    def _join(self) -> bool:
        began_s = time.monotonic()
        is_told = False
        while True:
            try:
                self._link.open()
            except NodeUnavailable as error:
                if error.lasts:
                    raise
                if self._within_s and time.monotonic() - began_s >= self._within_s:
                    raise NodeUnavailable(
                        f"{error}; worker {self._worker} has waited for {self._within_s:g} s (startup_timeout) and "
                        "gives up",
                        node=error.node,
                    ) from error
                if not is_told:
                    log.warning(
                        "%s; worker %s waits for it, %s", error, self._worker, _how_long(self._within_s)
                    )
                is_told = True
                self._pause(AGAIN_S)
            else:
                if is_told:
                    out_s = time.monotonic() - began_s
                    log.info("the node answers worker %s, after %.1f s", self._worker, out_s)
                return True
            if self._must_end():
                return False


def _how_long(within_s: float) -> str:
    if within_s:
        return f"for {within_s:g} s at most (startup_timeout)"
    return "until it answers or the worker is told to stop"
