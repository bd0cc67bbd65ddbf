"""How far a change of the nodes is: told by the view, and by what has been copied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from taskmesh.coordination.node_wish import Joining, NodeWish
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.nodes.membership import ANSWER_S, Membership
from taskmesh.replication.ask import plain
from taskmesh.replication.holding import read_holding
from taskmesh.replication.pin import pin
from taskmesh.replication.plan import Goal, as_proposed
from taskmesh.replication.view import DRAINED, LEARNER, UP, Member, View

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement


@dataclass(frozen=True, slots=True)
class NodeChange:
    """What is to become of one node.

    Attributes:
        node: Its id.
        wish: What is wanted of it.
        copies: How many copies of slots travel.
        primaries: How many slots get another primary that keeps them already.
        of_copies: How many copies there are.
        of_slots: How many slots.
        asked: How it was asked for, where a server is added. Which id that gets is decided when it is wished for: until
            then `node` is what it would be.
    """

    node: str
    wish: NodeWish
    copies: int
    primaries: int
    of_copies: int
    of_slots: int
    asked: Joining | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a change is.

    Attributes:
        is_done: Whether it is so.
        text: What goes on, for people.
        done: How many records have been copied, or slots left.
        total: Of how many; an estimate.
        hindrance: Why it cannot go on now; empty if it can.
    """

    is_done: bool
    text: str
    done: int = 0
    total: int = 0
    hindrance: str = ""


class ChangeProgress:
    """Looks how far changes are."""

    def __init__(self, agreement: Agreement, membership: Membership) -> None:
        """Prepare.

        Args:
            agreement: The way to the registers, and to the nodes.
            membership: The nodes as they are.
        """
        self._agreement = agreement
        self._membership = membership
        #: The number of a view, and what the leader would make of it.
        self._reckoned: tuple[int, Goal | None] | None = None

    def of(self, change: NodeChange) -> Progress:
        """Return how far a change is now.

        Raises:
            NodeUnavailable: The mesh does not answer.
        """
        view = self._membership.view()
        member = view.member(change.node)
        wish = change.wish
        if member is None:
            return Progress(is_done=False, text="waits for the leader")
        if wish.leaves or not wish.weight:
            left = len(view.held_by(member.id))
            text = "hands over what it keeps" if left else "keeps nothing any more"
            is_done = member.state == DRAINED
            if (
                is_done
                and wish.leaves
                and not self._agreement.has_others
                and self._membership.acceptor_of(change.node)
            ):
                is_done, text = False, "hands over the registers"
            return Progress(is_done, text, view.slots - left, view.slots)
        if member.state == UP and (member.weight, member.domain) == (wish.weight, wish.domain):
            return self._shared_out(view, member)
        away = self._why_away(member)
        if away:
            text = f"is {member.state}, and does not answer"
            return Progress(is_done=False, text=text, hindrance=away)
        if member.state == LEARNER:
            return self._copied(view, member)
        return Progress(is_done=False, text=f"is {member.state}, and waits for the leader")

    def _shared_out(self, view: View, member: Member) -> Progress:
        """Tell how far slots have moved because of a node that takes part as it is to."""
        held = len(view.held_by(member.id))
        if self._reckoned is None or self._reckoned[0] != view.number:
            self._reckoned = view.number, as_proposed(view)
        goal = self._reckoned[1]
        if goal is None:
            return Progress(is_done=True, text=f"keeps {held:,} slots", done=held, total=held)
        share = sum(member.id in row for row in goal.table)
        text = f"keeps {held:,} slots, and {share:,} when others are copied"
        return (
            replace(self._copied(view, member), text=text)
            if share > held
            else Progress(is_done=False, text=text)
        )

    def _why_away(self, member: Member) -> str:
        """Return why a node does not answer; empty if it does."""
        steps = pin(plain(self._agreement.link.session, b"PING"), member.address)
        try:
            # by its address: a process that no view has admitted may answer there
            self._membership.several().driver.run(steps, within_s=ANSWER_S)
        except (NodeUnavailable, NodeFault) as error:
            return f"{member.address} does not answer: {error}"
        return ""

    def _copied(self, view: View, member: Member) -> Progress:
        """Tell how many records a node has that is being copied to."""
        there = self._records(member, range(view.slots))
        others = [each for each in view.members if each.state == UP]
        kept = sum(self._records(each, view.held_by(each.id)) for each in others)
        total = kept * member.weight // (member.weight + sum(each.weight for each in others))
        return Progress(is_done=False, text="is being copied to", done=min(there, total), total=total)

    def _records(self, member: Member, slots: range | tuple[int, ...]) -> int:
        link, several = self._agreement.link, self._membership.several()
        try:
            # by its address: a process that no view has admitted may answer there
            steps = pin(read_holding(link.session, slots), member.address)
            found = several.driver.run(steps, within_s=ANSWER_S)
        except (NodeUnavailable, NodeFault):
            return 0
        return found.live + found.final
