"""What a supervisor does with a ticket on the nodes: idle children of its worker are given what is ready."""

from __future__ import annotations

import logging
import time

from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.link import Link
from taskmesh.queue.ticket import Given, give
from taskmesh.worker.every_node import within_s
from taskmesh.worker.options import SUPERVISOR_PATIENCE_S
from taskmesh.worker.patience import run_patiently
from taskmesh.worker.rest import Rest

log = logging.getLogger("taskmesh.worker")


class Giving:
    """Gives for one life of a worker. Which node has the work a ticket does not say, so each is asked first in turn."""

    def __init__(self, link: Link, incarnation: bytes) -> None:
        """Prepare.

        Args:
            link: To the mesh.
            incarnation: Of this life.
        """
        self._link = link
        self._incarnation = incarnation
        self._rests: dict[str, Rest] = {}
        self._first = 0

    def give(self, queue: str, tickets: int) -> Given:
        """Give what is ready in a queue, on one node after the other until that was worth so many tickets.

        Raises:
            NodeUnavailable: No node answers.
        """
        nodes = self._link.nodes
        self._first = (self._first + 1) % len(nodes)
        woken, is_left, is_busy, has_answered = 0, False, False, False
        for node in (*nodes[self._first :], *nodes[: self._first]):
            given = self._give_at(node, queue, is_only=len(nodes) == 1)
            if given is None:
                continue
            has_answered = True
            woken += given.woken
            is_left = is_left or given.is_left
            is_busy = is_busy or given.is_busy
            if woken >= tickets:
                break
        if not has_answered:
            raise NodeUnavailable("no node of the mesh can be used", node=self._link.mesh, may_be_done=True)
        return Given(woken, is_left, is_busy)

    def _give_at(self, node: str, queue: str, *, is_only: bool) -> Given | None:
        """Give on one node; None if it does not answer, and is left alone for a while if there are others."""
        rest = self._rests.setdefault(node, Rest())
        if not is_only and time.monotonic() < rest.until_s:
            return None
        link = self._link.at(node)
        try:
            given = run_patiently(
                link,
                give(link.session, self._incarnation, queue, patience_s=SUPERVISOR_PATIENCE_S),
                SUPERVISOR_PATIENCE_S,
                within_s=within_s(self._link),
            )
        except NodeUnavailable as error:
            log.debug("a ticket for queue %s: %s", queue, error)
            rest.missed(time.monotonic())
            return None
        rest.answered(0.0, 0.0)
        return given
