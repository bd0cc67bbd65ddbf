"""Changing which nodes a mesh of several has: looked at before it is wished for, and watched until it is so.

What is wished for stands in a register, and the leader does it, a step at a time: so it goes on when whoever wished
for it has ended, and to wish for the same again does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from taskmesh.config.nodes import node_urls
from taskmesh.coordination.node_wish import (
    REGISTER,
    Joining,
    NodeWish,
    NodeWishes,
    joining,
    joins,
    known_at,
    removed,
    unpack_wishes,
    wishing,
)
from taskmesh.coordination.register_places import free_in
from taskmesh.coordination.table_after import table_after
from taskmesh.core.redact import address_shown
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.errors import NodeFault, UsageError
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.change_progress import ChangeProgress, NodeChange, Progress
from taskmesh.nodes.fit_node import offset_s, why_unfit
from taskmesh.nodes.known_node import member_of, why_not_new
from taskmesh.nodes.membership import ANSWER_S, Membership
from taskmesh.nodes.node_facts import NodeFacts, read_facts
from taskmesh.nodes.sync_driver import SyncDriver
from taskmesh.replication.ask import look, plain
from taskmesh.replication.founding import Stand, read_stand
from taskmesh.replication.scripts import STAND
from taskmesh.replication.view import DRAINED, UP, Member, View
from taskmesh.ring.node import WEIGHT_MAX
from taskmesh.ring.table import handed_over, moved

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement

#: How often a change is looked at while it is waited for.
LOOK_S = 0.25


class NodeChanges:
    """Adds nodes to a mesh, empties them, takes them out, weighs them."""

    def __init__(self, agreement: Agreement, durability: str) -> None:
        """Prepare.

        Args:
            agreement: The way to the registers, and to the nodes.
            durability: What the data of the mesh is to survive: new nodes are looked at for that.
        """
        self._agreement = agreement
        self._durability = durability
        self._membership = Membership(agreement)
        self._progress = ChangeProgress(agreement, self._membership)

    def members(self) -> tuple[Member, ...]:
        """Return all that are members, or were.

        Raises:
            UsageError: The mesh runs on one node.
        """
        return self._membership.view().members

    # -- what is possible ----------------------------------------------------------

    def adding(self, url: str, *, weight: int | None = None, domain: str | None = None) -> NodeChange:
        """Return what it would mean to add a server; nothing is changed.

        Args:
            url: Where it is, `redis://host:port`.
            weight: How much it is to keep, in proportion to others, which have 100; None for 100, or, where it was
                added before, for as much as now.
            domain: What fails together with it: a host, a rack; None for nothing, or for what it was.

        Raises:
            UsageError: It cannot be a node; the text says why, and what to do.
            NodeUnavailable: It does not answer, or the mesh does not.
        """
        address = _address(url)
        view, wishes = self._membership.view_or_first(), self._membership.wishes()
        asked = Joining(str(address), None if weight is None else _weight(weight), domain)
        if known_at(view, wishes, asked.address) is None:
            self._refuse_unfit(address, view, wishes)
        return replace(self._change(view, *joins(view, wishes, asked)), asked=asked)

    def draining(self, node: str) -> NodeChange:
        """Return what it would mean to empty a node, which stays a member; nothing is changed.

        Raises:
            UsageError: There is no such node, it was removed, or too few others.
        """
        self._refuse_removed(node)
        return self._emptying(node, leaves=False)

    def removing(self, node: str) -> NodeChange:
        """Return what it would mean to take a node out of the mesh; nothing is changed.

        Raises:
            UsageError: There is no such node, or too few others.
        """
        change = self._emptying(node, leaves=True)
        self._refuse_without_acceptors(change)
        return change

    def weighing(self, node: str, weight: int, *, domain: str | None = None) -> NodeChange:
        """Return what it would mean to give a node another weight, or another domain; nothing is changed.

        Raises:
            UsageError: There is no such node, it was removed, or it is no weight.
        """
        self._refuse_removed(node)
        view = self._membership.view()
        member = _member(view, node)
        if not _weight(weight):
            return self.draining(node)
        where = member.domain if domain is None else domain
        return self._change(view, member.id, NodeWish(member.address, weight, where))

    def _refuse_removed(self, node: str) -> None:
        """Refuse to do anything more with a node that was taken out.

        Raises:
            UsageError: It was.
        """
        view = self._membership.view()
        member = _member(view, node)
        if member.state == DRAINED and member.id in removed(view, self._membership.wishes()):
            raise UsageError(
                f"{member.id} ({member.address}) was removed from this mesh for good; an empty server joins as a new "
                f"node: `taskmesh nodes add {member.address}`"
            )

    def _emptying(self, node: str, *, leaves: bool) -> NodeChange:
        view = self._membership.view()
        member = _member(view, node)
        others = [each for each in view.members if each.state == UP and each.weight and each.id != member.id]
        if member.state == UP and len(others) < view.replicas:
            raise UsageError(
                f"without {member.id} the mesh has {len(others)} {'node' if len(others) == 1 else 'nodes'} that keep "
                f"something, and {view.replicas} copies of each message are wanted: add a node first"
            )
        wish = NodeWish(member.address, member.weight if leaves else 0, member.domain, leaves=leaves)
        return self._change(view, member.id, wish)

    def _refuse_without_acceptors(self, change: NodeChange) -> None:
        """Refuse to take out who holds the registers, unless another node can.

        Raises:
            UsageError: None can.
        """
        acceptor = "" if self._agreement.has_others else self.acceptor_of(change)
        if not acceptor:
            return
        view, wishes = self._membership.view(), self._membership.wishes()
        hold = {each.address for each in self._agreement.assess()}
        others = [each for each in free_in(view, wishes) if each not in (*hold, change.wish.address)]
        if not others:
            raise UsageError(
                f"{change.node} is an acceptor too, as {acceptor}, and there is no other node to take its place: add a "
                f"node first (`taskmesh nodes add`), or name a server: `taskmesh acceptors replace {acceptor} NEW`"
            )

    def _change(self, view: View, node: str, wish: NodeWish) -> NodeChange:
        after = table_after(view, node, wish)
        return NodeChange(
            node,
            wish,
            moved(view.table, after),
            handed_over(view.table, after),
            view.slots * view.replicas,
            view.slots,
        )

    def _refuse_unfit(self, address: NodeAddress, view: View, wishes: NodeWishes) -> None:
        link = self._agreement.link
        driver = SyncDriver(
            address, connect_timeout_s=ANSWER_S, answer_timeout_s=ANSWER_S, name=f"taskmesh-{link.mesh}"
        )
        try:
            asked_s = link.clock.now_ms() / 1000
            facts, stand, time_s = driver.run(_look_at(link.session), within_s=ANSWER_S)
            told_s = link.clock.now_ms() / 1000
        except NodeFault as error:
            raise UsageError(f"{address} cannot be a node: it refuses: {error}") from error
        finally:
            driver.close()
        member = member_of(stand, view, link.meta.mesh_id if link.meta else "")
        if member is not None:
            raise UsageError(why_not_new(str(address), member, view, wishes))
        unfit = why_unfit(facts, stand, offset_s(time_s, asked_s, told_s), self._durability)
        if unfit:
            raise UsageError(f"{address} cannot be a node: {'; '.join(unfit)}")

    def acceptor_of(self, change: NodeChange) -> str:
        """Return the address by which a node is an acceptor as well, so that its server is needed; empty if not.

        Raises:
            NodeUnavailable: The mesh does not answer.
        """
        return self._membership.acceptor_of(change.node)

    def named_acceptor_of(self, change: NodeChange) -> str:
        """As `acceptor_of`, where acceptors are named; empty where they are not, for then another node takes over."""
        return self.acceptor_of(change) if self._agreement.has_others else ""

    # -- what is done --------------------------------------------------------------

    def wish(self, change: NodeChange) -> NodeChange:
        """Write down what is wanted; the leader does it. A mesh of one node becomes one of several first.

        Returns:
            The change, to be watched: a server that is added has its id now.

        Raises:
            NoMajority: Too few acceptors take part.
            NodeUnavailable: The mesh does not answer.
        """
        agreement = self._agreement
        agreement.link.become_several()
        asked = change.asked
        made = wishing(change.node, change.wish) if asked is None else joining(self._membership.view(), asked)
        changed = agreement.run(agreement.registers.change(REGISTER, made, agreement.operation()))
        if asked is None:
            return change
        node = changed.answer.decode()
        return replace(change, node=node, wish=unpack_wishes(changed.content).nodes[node])

    def watch(self, change: NodeChange) -> Iterator[Progress]:
        """Tell how far a change is, again and again, until it is done."""
        while True:
            progress = self._progress.of(change)
            yield progress
            if progress.is_done:
                return
            time.sleep(LOOK_S)


def _look_at(session: Session) -> Steps[tuple[NodeFacts, Stand, float]]:
    facts = yield from read_facts(session)
    stand = yield from look(session, Call(STAND, session.prefix, ()))
    seconds, micros = yield from plain(session, b"TIME")
    return facts, read_stand(stand), int(seconds) + int(micros) / 1e6


def _address(url: str) -> NodeAddress:
    try:
        (checked,) = node_urls([url])
    except ValueError as error:
        raise UsageError(f"address {address_shown(url)!r}: {error}") from None
    return NodeAddress(checked)


def _weight(weight: int) -> int:
    if not 0 <= weight <= WEIGHT_MAX:
        raise UsageError(
            f"a weight is a whole number from 0 to {WEIGHT_MAX:,}, and 100 for others; {weight} is none"
        )
    return weight


def _member(view: View, node: str) -> Member:
    """Return a member by its id or its address."""
    plain_address = str(NodeAddress(node)) if "://" in node else ""
    found = [each for each in view.members if each.id == node or each.address == plain_address]
    serving = [each for each in found if each.state != DRAINED] or found
    if not serving:
        known = ", ".join(f"{each.id} ({each.address})" for each in view.members if each.state != DRAINED)
        raise UsageError(f"{address_shown(node)!r} is no node of this mesh; it has {known}")
    return serving[0]
