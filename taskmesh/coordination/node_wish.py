"""What operators want of the nodes of a mesh of several, as a register holds it, and what the view is to become by it.

An operator's command writes down what is wanted, and the leader does it: so no two ever change a view at once, and
who is interrupted has lost nothing. What is wanted of a node stays written down after it was done, and so does who has
left: the id of a member is never used again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from taskmesh.consensus.registers import Change, Refuse, Verdict, Versioned
from taskmesh.coordination.setting import Setting
from taskmesh.replication.plan import Goal
from taskmesh.replication.view import DRAINED, LEARNER, LOST, WEIGHT, Member, View

#: The register.
REGISTER: Final = "nodes"
FORMAT: Final = 1


class NodeWish(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wanted of one node.

    Attributes:
        address: Where it is, without a password.
        weight: How much it is to keep, in proportion to others; 0: nothing.
        domain: What fails together with it.
        leaves: Whether it is to keep nothing for ever. It stays known as drained, so that its id is not given again.
    """

    address: str
    weight: int = WEIGHT
    domain: str = ""
    leaves: bool = False


class NodeWishes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wanted of all of them: id of a member -> wish. Of those that are not named nothing is wanted."""

    nodes: dict[str, NodeWish] = {}
    format: int = FORMAT


_SETTING: Final = Setting(NodeWishes, "what is wanted of the nodes", FORMAT)
unpack_wishes = _SETTING.unpack


def wishing(node: str, wish: NodeWish) -> Change:
    """Return the change that writes down what is wanted of a node."""
    return _SETTING.changed(lambda old: msgspec.structs.replace(old, nodes={**old.nodes, node: wish}))


@dataclass(frozen=True, slots=True)
class Joining:
    """A server that is to be a node, as an operator asks for it.

    Attributes:
        address: Where it is, without a password.
        weight: How much it is to keep; None for 100, or, where it was asked for before, for as much as then.
        domain: What fails together with it; None for nothing, or for what it was.
    """

    address: str
    weight: int | None = None
    domain: str | None = None


def joining(view: View, asked: Joining) -> Change:
    """Return the change that writes down that a server is to be a node; its answer is the node's id.

    The id is chosen by what the register holds then: others may add servers at the same moment.
    """

    def change(found: Versioned) -> Verdict:
        node, wish = joins(view, unpack_wishes(found.content), asked)
        verdict = wishing(node, wish)(found)
        return verdict if isinstance(verdict, Refuse) else replace(verdict, answer=node.encode())

    return change


def joins(view: View, wishes: NodeWishes, asked: Joining) -> tuple[str, NodeWish]:
    """Return the id of the node that a server is to be, and what is to be wanted of it.

    One that was interrupted, or is said twice, goes on as it was asked for then.
    """
    node = known_at(view, wishes, asked.address)
    before = wishes.nodes.get(node) or view.member(node) if node is not None else None
    weight = asked.weight if asked.weight is not None else (before.weight if before else 0) or WEIGHT
    domain = asked.domain if asked.domain is not None else before.domain if before else ""
    return node or _next_id(view, wishes), NodeWish(asked.address, weight, domain)


def known_at(view: View, wishes: NodeWishes, address: str) -> str | None:
    """Return the id of the node at an address: of one that is to join, or of a member, unless it has left."""
    wanted = (node for node, wish in wishes.nodes.items() if wish.address == address and not wish.leaves)
    members = (each.id for each in view.members if each.address == address and each.state != DRAINED)
    return next((node for node in wanted if view.member(node) is None), None) or next(members, None)


def _next_id(view: View, wishes: NodeWishes) -> str:
    """Return the id of the next member: none that ever was one."""
    numbers = [int(node[1:]) for node in (*wishes.nodes, *(member.id for member in view.members))]
    return f"n{max(numbers, default=0) + 1}"


def removed(view: View, wishes: NodeWishes) -> frozenset[str]:
    """Return the ids of the members that left for good; a drained one, which the view shows alike, comes back."""
    return frozenset(
        member.id
        for member in view.members
        if member.state == DRAINED and member.id in wishes.nodes and wishes.nodes[member.id].leaves
    )


def wished(view: View, wishes: NodeWishes, new_instance: Callable[[], str]) -> Goal | None:
    """Return what the view is to become so that it says of its members what is wanted; None if it does.

    Slots are moved by what comes of that, see `plan`; here none is.

    Args:
        view: The active one.
        wishes: What is wanted.
        new_instance: Draws the id of a new member.
    """
    members: list[Member] = []
    why: list[str] = []
    for member in view.members:
        wish = wishes.nodes.get(member.id)
        after = member if wish is None else _as_wished(member, wish)
        members.append(after)
        if after != member:
            why.append(_changed(after))
    known = {member.id for member in view.members}
    for node, wish in wishes.nodes.items():
        if node not in known and not wish.leaves:
            new = Member(node, wish.address, new_instance(), "", wish.weight, wish.domain, LEARNER)
            members.append(new)
            why.append(f"{node} joins")
    return Goal(tuple(members), view.table, ", ".join(why), is_urgent=False) if why else None


def _as_wished(member: Member, wish: NodeWish) -> Member:
    weight, state = (0 if wish.leaves else wish.weight), member.state
    if state in (LOST, LEARNER) and wish.leaves:
        state = DRAINED
    elif state == DRAINED and weight:
        # what it kept once may be old: it is copied to like a new one
        state = LEARNER
    return replace(member, weight=weight, domain=wish.domain, state=state)


def _changed(after: Member) -> str:
    if after.state == DRAINED:
        return f"{after.id} leaves"
    if not after.weight:
        return f"{after.id} is to be emptied"
    return f"{after.id} has weight {after.weight}" + (f" in {after.domain}" if after.domain else "")
