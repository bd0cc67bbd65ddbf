"""What operators want of the nodes of a mesh of several, as a register holds it, and what the view is to become by it.

An operator's command writes down what is wanted, and the leader does it: so no two ever change a view at once, and
who is interrupted has lost nothing. What is wanted of a node stays written down after it was done, and so does who has
left: the id of a member is never used again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgspec

from taskmesh.consensus.registers import Change
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


def next_id(view: View, wishes: NodeWishes) -> str:
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
