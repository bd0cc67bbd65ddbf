"""The leader has nodes hold the registers that are there to stay, where no acceptors are named."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from taskmesh.coordination.node_wish import NodeWishes
from taskmesh.coordination.register_places import places_for
from taskmesh.errors import TaskMeshError
from taskmesh.nodes.acceptor_care import AcceptorCare
from taskmesh.nodes.address import DATA_NODE
from taskmesh.replication.view import FIRST, View

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement

log = logging.getLogger("taskmesh.scheduler")
#: How long to leave it after it was not possible: the nodes are not looked after meanwhile for as long as it takes.
AGAIN_S = 10.0


class RegisterCare:
    """Moves the registers as nodes come and go."""

    def __init__(self, agreement: Agreement) -> None:
        """Take the way to them."""
        self._agreement = agreement
        self._seen: tuple[int, NodeWishes] | None = None
        self._again_at_s = 0.0

    def look(self, view: View, wishes: NodeWishes) -> None:
        """Have the registers be where they should, unless nothing has changed since the last look.

        Args:
            view: The active one.
            wishes: What operators want of the nodes.
        """
        now_s = time.monotonic()
        if self._agreement.has_others or self._seen == (view.number, wishes) or now_s < self._again_at_s:
            return
        try:
            self._move(view, wishes)
        except TaskMeshError as error:
            # the nodes are looked after all the same
            log.warning("the registers cannot be moved to other nodes yet: %s", error)
            self._again_at_s = now_s + AGAIN_S
        else:
            self._seen = view.number, wishes

    def _move(self, view: View, wishes: NodeWishes) -> None:
        care = AcceptorCare(self._agreement)
        now = [member.address for member in care.members().members]
        first = view.member(FIRST)
        known = [first.address if each == DATA_NODE and first is not None else each for each in now]
        wanted = places_for(known, view, wishes)
        # one node alone goes on as it was when it was the only one
        if set(wanted) == set(known):
            return
        care.change(wanted)
        log.warning(
            "nodes: the registers are held by %s now, and were by %s", ", ".join(wanted), ", ".join(known)
        )
