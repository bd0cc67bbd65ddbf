"""What the view should become, from what it is and from who answers. Pure: who decides, and when, is the leader's.

In this order, one change at a time: who is gone leaves its rows, so that the others go on at once with fewer copies;
who comes back, or is new, is copied to and then takes part; what is badly placed moves. A row never holds a node that
is not level with its primary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from taskmesh.replication.founding import Stand
from taskmesh.replication.view import DRAINED, LEARNER, LOST, UP, Member, Row, Table, View
from taskmesh.ring import RingNode, propose
from taskmesh.ring.table import copies, primaries

#: By which part a node may have more than its share before slots are moved.
UNEVEN = 0.15


@dataclass(frozen=True, slots=True)
class Goal:
    """What the view is to become.

    Attributes:
        members: All of them.
        table: Of those that are up.
        why: For people.
        is_urgent: Whether slots stand still until it is reached.
    """

    members: tuple[Member, ...]
    table: Table
    why: str
    is_urgent: bool


def plan(
    view: View,
    seen: Mapping[str, Stand],
    silent: Collection[str],
    new_instance: Callable[[str], str],
) -> Goal | None:
    """Return what the view should become; None if it may stay as it is.

    Args:
        view: The active one.
        seen: What each member that answers says of itself.
        silent: Members that were not heard for so long, by enough observers, that they count as gone.
        new_instance: Returns the instance that a member is to be which lost everything; always the same for one.
    """
    return (
        _without_those_gone(view, seen, silent)
        or _with_those_back(view, seen, new_instance)
        or as_proposed(view)
    )


def _without_those_gone(view: View, seen: Mapping[str, Stand], silent: Collection[str]) -> Goal | None:
    serving = [member for member in view.members if member.state == UP]
    lost = {member.id for member in serving if member.id in silent or _is_stranger(member, seen)}
    # it may have come back with an older disk, so it cannot go on as if nothing had been
    anew = {member.id for member in serving if _began_anew(member, seen)} - lost
    if not lost and not anew:
        return None
    rows = tuple(_shorter(row, lost, anew) for row in view.table)
    if not all(rows):
        return None
    kept = {node for row in set(rows) for node in row}
    members = tuple(_member_after(member, seen, lost, anew, kept) for member in view.members)
    words = [
        *(f"{node} is gone" for node in sorted(lost)),
        *(f"the server of {node} was started anew" for node in sorted(anew)),
    ]
    return Goal(members, rows, "; ".join(words), is_urgent=True)


def _is_stranger(member: Member, seen: Mapping[str, Stand]) -> bool:
    stand = seen.get(member.id)
    return stand is not None and stand.instance != member.instance


def _began_anew(member: Member, seen: Mapping[str, Stand]) -> bool:
    stand = seen.get(member.id)
    return stand is not None and stand.instance == member.instance and stand.run_id != member.run_id


def _shorter(row: Row, lost: Collection[str], anew: Collection[str]) -> Row:
    """Return a row without those gone; where nobody else is left, with those that have begun anew."""
    left = tuple(node for node in row if node not in lost and node not in anew)
    return left or tuple(node for node in row if node in anew)


def _member_after(
    member: Member,
    seen: Mapping[str, Stand],
    lost: Collection[str],
    anew: Collection[str],
    kept: Collection[str],
) -> Member:
    if member.id in lost:
        return replace(member, state=LOST)
    if member.id in anew:
        return replace(
            member,
            run_id=seen[member.id].run_id,
            state=member.state if member.id in kept else LOST,
        )
    return member


def _with_those_back(
    view: View, seen: Mapping[str, Stand], new_instance: Callable[[str], str]
) -> Goal | None:
    """Return the view with those that were lost and answer, and with those that are to learn."""
    back: dict[str, Member] = {}
    for member in view.members:
        stand = seen.get(member.id)
        if member.state not in (LOST, LEARNER) or stand is None:
            continue
        instance = _instance_of(view, member, seen, new_instance)
        if instance is not None:
            back[member.id] = replace(member, state=UP, run_id=stand.run_id, instance=instance)
    table = _propose(view, [back.get(member.id, member) for member in view.members])
    # who would keep nothing is not copied to either, and so not made a member: it waits until there is something for it
    kept = {node for row in set(table) for node in row}
    back = {node: member for node, member in back.items() if node in kept}
    if not back:
        return None
    members = tuple(back.get(member.id, member) for member in view.members)
    return Goal(members, table, f"{', '.join(back)} takes part", is_urgent=False)


def _instance_of(
    view: View, member: Member, seen: Mapping[str, Stand], new_instance: Callable[[str], str]
) -> str | None:
    """Return the instance that a member is to be which takes part again; None if another member answers there."""
    stand = seen[member.id]
    if stand.instance == member.instance:
        return member.instance
    if not stand.instance:
        return new_instance(member.id)
    if stand.instance == new_instance(member.id):
        return stand.instance
    # a leader of before has made it a member again, and did not come to say so
    meshes = {seen[node].mesh_id for node in view.nodes if node in seen}
    is_ours = stand.id == member.id and stand.mesh_id in meshes and bool(stand.mesh_id)
    return stand.instance if is_ours else None


def as_proposed(view: View) -> Goal | None:
    """Return the view with the table that members and weights ask for, if that is worth a change.

    A change stops all slots for a moment, so a table that is only a little uneven stays.
    """
    table = _propose(view, view.members)
    short = sum(len(new) > len(old) for new, old in zip(table, view.table, strict=True))
    if short:
        return Goal(view.members, table, f"{short} slots lack copies", is_urgent=False)
    emptied = [member.id for member in view.members if member.state == UP and not member.weight]
    if emptied:
        members = tuple(
            replace(member, state=DRAINED) if member.id in emptied else member for member in view.members
        )
        return Goal(members, table, f"{', '.join(emptied)} is to be emptied", is_urgent=False)
    if _is_uneven(view.table, table, copies) or _is_uneven(view.table, table, primaries):
        return Goal(view.members, table, "shares are uneven", is_urgent=False)
    return None


def _is_uneven(old: Table, new: Table, count: Callable[[Table], Counter[str]]) -> bool:
    """Tell whether some node has too much of what another one should have."""
    has, should = count(old), count(new)
    return any(has[node] - should[node] > max(1, UNEVEN * should[node]) for node in has)


def _propose(view: View, members: Collection[Member]) -> Table:
    nodes = [RingNode(member.id, member.weight, member.domain) for member in members if member.state == UP]
    able = sum(node.weight > 0 for node in nodes)
    return tuple(propose(view.slots, nodes, max(1, min(view.replicas, able)), view.table))
