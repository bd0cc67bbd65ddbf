"""What of a mesh of several nodes is out of reach or gone, as `taskmesh nodes` tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskmesh.cli.acceptor_list import remedy_of_too_few, too_few
from taskmesh.cli.failure import Failure
from taskmesh.cli.node_list import NodeReport
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


def copies_out_of_reach(view: View, reports: Sequence[NodeReport]) -> int:
    """Return how many copies of slots are on nodes that do not answer now, though the view counts on them."""
    away = {report.member.id for report in reports if report.told is None}
    return sum(node in away for row in view.table for node in row)


def refuse_to_call_it_well(acceptors: Sequence[AcceptorReport], reports: Sequence[NodeReport]) -> None:
    """End the command where so few acceptors take part that the view cannot change.

    Raises:
        Failure: So it is; it says which nodes do not answer, and what to do.
    """
    lack = too_few(acceptors)
    if not lack:
        return
    away = [f"{each.member.id} ({each.member.address})" for each in reports if each.is_missed]
    verb = "does" if len(away) == 1 else "do"
    which = f"; {', '.join(away)} {verb} not answer" if away else ""
    raise Failure(f"{lack}, so no fail-over can happen{which}: {remedy_of_too_few(acceptors)}")
