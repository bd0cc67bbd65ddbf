"""What of a mesh of several nodes is out of reach or gone, as `taskmesh nodes` tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskmesh.cli.acceptor_list import too_few
from taskmesh.cli.output import say
from taskmesh.coordination.node_wish import REGISTER, removed, unpack_wishes
from taskmesh.errors import AgreementError, NodeUnavailable
from taskmesh.replication.view import DRAINED, View

if TYPE_CHECKING:
    from taskmesh.nodes.acceptor_care import AcceptorReport
    from taskmesh.nodes.agreement import Agreement


def removed_nodes(agreement: Agreement, view: View, acceptors: Sequence[AcceptorReport]) -> frozenset[str]:
    """Return the ids of the nodes that were taken out for good.

    The view shows them as drained; the acceptors know which they are. Where too few of those answer nobody does, which
    is said.
    """
    if all(member.state != DRAINED for member in view.members):
        return frozenset()
    why = too_few(acceptors)
    if not why:
        try:
            wishes = unpack_wishes(agreement.run(agreement.registers.read(REGISTER)).content)
        except (AgreementError, NodeUnavailable) as error:
            why = str(error)
        else:
            return removed(view, wishes)
    say(f"which of the drained nodes were removed for good is not known: {why}")
    return frozenset()
