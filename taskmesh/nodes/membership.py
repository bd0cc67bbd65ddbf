"""What there is of nodes before they are changed: the view, what was wished for, and who holds registers as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.consensus.admission import newest_of
from taskmesh.coordination.node_wish import REGISTER, NodeWishes, unpack_wishes
from taskmesh.errors import NodeUnavailable, UsageError
from taskmesh.replication.view import ACTIVE, FIRST, Member, View

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.several import Several

#: How long a node may take to answer.
ANSWER_S = 5.0


class Membership:
    """The nodes of a mesh, as they are now."""

    def __init__(self, agreement: Agreement) -> None:
        """Take the way to the registers, and to the nodes."""
        self._agreement = agreement

    def several(self) -> Several:
        """Return the nodes.

        Raises:
            UsageError: The mesh runs on one.
        """
        link = self._agreement.link.open()
        several = link.several
        if several is None:
            raise UsageError(
                f"mesh {link.mesh!r} runs on one node: add another (`taskmesh nodes add redis://host:port`), and it "
                "becomes a mesh of several with all that it holds"
            )
        return several

    def view_or_first(self) -> View:
        """Return the view; of a mesh of one node, the first that it would have."""
        link = self._agreement.link.open()
        if link.several is not None:
            return self.view()
        first = Member(FIRST, str(link.driver.address), "not yet", "any")
        return View(
            1, ACTIVE, link.session.slots, link.copies_of_several, (first,), ((FIRST,),) * link.session.slots
        )

    def view(self) -> View:
        """Return the newest view that a node tells of.

        Raises:
            UsageError: The mesh runs on one node.
            NodeUnavailable: No node answers.
        """
        several = self.several()
        if several.standing is None:
            raise NodeUnavailable("no node tells of the view", node=self._agreement.link.mesh)
        return several.newest(several.standing, ANSWER_S)

    def wishes(self) -> NodeWishes:
        """Return what operators want of the nodes."""
        agreement = self._agreement
        return unpack_wishes(agreement.run(agreement.registers.read(REGISTER)).content)

    def acceptor_of(self, node: str) -> str:
        """Return the address by which a node is an acceptor as well, so that its server is needed; empty if not.

        Raises:
            NodeUnavailable: The mesh does not answer.
        """
        member = self.view().member(node)
        standings = self._agreement.assess()
        newest = newest_of(standings)
        if member is None or newest is None:
            return ""
        # the same server may have been named otherwise as an acceptor
        runs = {each.looked.instance: each.looked.run for each in standings if each.looked is not None}
        there = (
            each.address
            for each in newest.members
            if each.address == member.address or runs.get(each.instance) == member.run_id
        )
        return next(there, "")
