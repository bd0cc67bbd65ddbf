"""The first view of a mesh of several nodes: made once, whoever makes it, and obeyed by all or by nobody.

Every node that is named must answer. One of them, the first by its address, decides: what is written there first is
the first view (a register of one acceptor: later ones are decided by all of them). Who is interrupted leaves that
behind, and whoever comes next goes on with it. A node that holds a mesh by itself already becomes the only member, with
all it holds; the others are added to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from taskmesh.core import keys
from taskmesh.core.script import Script
from taskmesh.core.steps import Call, GroupSteps, NoAnswer, NodeError, Refused, Reply, Round, all_answered
from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.replication.join import FORMAT, JOIN
from taskmesh.replication.packed_view import pack, unpack
from taskmesh.replication.scripts import ACTIVATE, ADOPT, FENCE, STAND
from taskmesh.replication.view import ACTIVE, Member, View
from taskmesh.ring import RingNode, propose

#: Keys that are looked at in one step of taking over what a node held alone.
ADOPTED_AT_ONCE = 500
#: Stands for the answer of a node that obeys the view already, or a later one.
FURTHER = b"further"
#: Stands for the answer of a node that knows a newer leader than we say.
NEW_LEADER = b"new leader"
#: How often it is begun again for a new leader whom a node came to know meanwhile.
LEADERS_MAX = 10
#: Epoch of a node which belongs to a mesh of several, and obeys nothing yet.
JOINED = b"x00000000000"


@dataclass(frozen=True, slots=True)
class Stand:
    """What a node says of itself.

    Attributes:
        id: As a member; empty if it is none.
        instance: As a member; empty if it is none.
        run_id: Of its server's process.
        epoch: That it is in; empty for none.
        token: Of the leader that it obeys; 0 for none.
        mesh_id: Of the mesh that it belongs to; empty for none.
        slots: Of that mesh.
    """

    id: str
    instance: str
    run_id: str
    epoch: bytes
    token: int
    mesh_id: str
    slots: int

    @property
    def has_view(self) -> bool:
        """Whether it belongs to a mesh of several, or was about to."""
        return self.epoch[:1] in (b"f", b"x")


def read_stand(answer: Sequence[bytes]) -> Stand:
    """Return what `stand.lua` answered."""
    node, instance, run_id, epoch, token, mesh_id, slots = answer
    return Stand(
        node.decode(),
        instance.decode(),
        run_id.decode(),
        epoch,
        int(token or 0),
        mesh_id.decode(),
        int(slots or 0),
    )


@dataclass(frozen=True, slots=True)
class Making:
    """What a first view is made of.

    Attributes:
        addresses: Of the nodes as they were named, without passwords; each is the `node` of the calls to it.
        slots: How many.
        replicas: How many copies of each record.
        mesh_id: If the mesh must be made.
        key_id: That it accepts.
        now_ms: The time.
        new_instance: Draws the id of a member.
    """

    addresses: Sequence[str]
    slots: int
    replicas: int
    mesh_id: str
    key_id: str
    now_ms: int
    new_instance: Callable[[], str]


def found(prefix: bytes, making: Making) -> GroupSteps[View]:
    """Make the first view, or go on with what somebody began, and have its members obey it.

    Args:
        prefix: What every key begins with.
        making: Of what.

    Returns:
        The view.

    Raises:
        NodeUnavailable: A node does not answer.
        ConfigError: They belong to different meshes.
    """
    stands = yield from _stands(prefix, making.addresses)
    decider = min(making.addresses)
    key = keys.founding(prefix)
    while True:
        (packed,) = yield Round([Call(None, prefix, (b"GET", key), node=decider)], all_answered)
        if packed is None:
            view = _first(making, stands)
            yield Round([Call(None, prefix, (b"SETNX", key, pack(view)), node=decider)], all_answered)
            continue
        if not isinstance(packed, bytes):
            raise _silent(decider, packed)
        view = unpack(packed)
        if _differs(view, stands):
            # somebody may have made it after we looked
            stands = yield from _stands(prefix, making.addresses)
            if _differs(view, stands):
                # nobody obeys it yet, or there would be a view to read
                yield Round([Call(None, prefix, (b"DEL", key), node=decider)], all_answered)
            continue
        # those that were joined keep the mesh that they were told of, also where the one that told them lost it
        known = [stands[member.address].mesh_id for member in view.members]
        mesh_id = next(filter(None, known), making.mesh_id)
        yield from _obey(prefix, replace(making, mesh_id=mesh_id), view)
        return view


def _silent(address: str, reply: Reply) -> NodeUnavailable:
    why = reply.text if isinstance(reply, NodeError) else reply.reason.removeprefix(f"{address}: ")
    return NodeUnavailable(
        f"node {address} must answer when a mesh of several nodes is made for the first time: {why}",
        node=address,
        may_be_done=False,
        lasts=isinstance(reply, Refused) and reply.lasts,
    )


def _stands(prefix: bytes, addresses: Sequence[str]) -> GroupSteps[dict[str, Stand]]:
    replies = yield Round([Call(STAND, prefix, (), node=address) for address in addresses], all_answered)
    out = {}
    for address, reply in zip(addresses, replies, strict=True):
        if not isinstance(reply, list):
            raise _silent(address, reply)
        out[address] = read_stand(reply)
    names: dict[str, str] = {}
    for address, stand in out.items():
        other = names.setdefault(stand.run_id, address)
        if other != address:
            raise ConfigError(
                f"the nodes {other} and {address} are one server by two names; two nodes on one server are lost "
                "together: name it once",
                setting="nodes",
            )
    return out


def _differs(view: View, stands: dict[str, Stand]) -> bool:
    return any(_began_anew(stands.get(member.address), member) for member in view.members)


def _began_anew(stand: Stand | None, member: Member) -> bool:
    return stand is None or stand.run_id != member.run_id or stand.instance not in ("", member.instance)


def _first(making: Making, stands: dict[str, Stand]) -> View:
    """Return the first view: of all nodes, or of the one that holds the mesh already."""
    holders = [address for address in making.addresses if stands[address].mesh_id]
    if len({stands[address].mesh_id for address in holders}) > 1:
        raise ConfigError(
            f"the nodes {', '.join(holders)} hold different meshes of this name: name one of them, and add empty ones "
            "to it by `taskmesh nodes add`",
            setting="nodes",
        )
    # where one was begun to be made of all, nobody held it before, though some were told of it
    addresses = list(making.addresses) if _is_begun_of_all(stands, holders) else holders[:1]
    slots = stands[holders[0]].slots if holders else making.slots
    members = tuple(
        _member(making, f"n{at}", address, stands[address]) for at, address in enumerate(addresses, 1)
    )
    copies = min(making.replicas, len(members))
    table = tuple(propose(slots, [RingNode(member.id) for member in members], copies))
    return View(1, ACTIVE, slots, making.replicas, members, table)


def _is_begun_of_all(stands: dict[str, Stand], holders: Sequence[str]) -> bool:
    """Tell whether nobody holds a mesh of its own: who is fenced alone did, for others are fenced together."""
    if not all(stands[address].has_view for address in holders):
        return False
    return len(holders) != 1 or stands[holders[0]].epoch == JOINED


def _member(making: Making, node: str, address: str, stand: Stand) -> Member:
    """Return a first member; of one that was begun with and not finished, the instance that its node is already."""
    if stand.instance and stand.id != node:
        raise ConfigError(
            f"node {address} was to become {stand.id} of a mesh that was begun with other nodes and never finished, "
            f"and would be {node} now: name the same nodes as then, or delete the keys of this mesh on it",
            setting="nodes",
        )
    return Member(node, address, stand.instance or making.new_instance(), stand.run_id)


def _obey(prefix: bytes, making: Making, view: View) -> GroupSteps[None]:
    """Have the members take part in the mesh, and obey the view.

    That is no leader's doing. But a node that held the mesh alone may know one, whose token it wants to see.
    """
    for _ in range(LEADERS_MAX):
        stands = yield from _stands(prefix, [member.address for member in view.members])
        token = max(stand.token for stand in stands.values())
        if (yield from _obey_by(prefix, making, view, b"%d" % token)):
            return
    raise NodeUnavailable(
        f"the nodes were told of new leaders {LEADERS_MAX} times while the mesh of several was made; try again",
        node=view.members[0].address,
        may_be_done=False,
    )


def _obey_by(prefix: bytes, making: Making, view: View, token: bytes) -> GroupSteps[bool]:
    """As `_obey`, by a leader's token; tell whether the nodes know no newer one."""
    now = b"%d" % making.now_ms
    decider = view.members[0].address
    (told,) = yield from _each(prefix, JOIN, [(decider, _join_words(making, making.mesh_id, view))])
    mesh_id = told[0].decode()
    yield from _each(
        prefix, JOIN, [(member.address, _join_words(making, mesh_id, view)) for member in view.members]
    )
    fenced = yield from _each(
        prefix,
        FENCE,
        [
            (
                member.address,
                (view.waiting, now, token, member.instance.encode(), member.id.encode()),
            )
            for member in view.members
        ],
    )
    if NEW_LEADER in fenced:
        return False
    for member in view.members:
        cursor = b"0"
        while True:
            (cursor,) = yield from _each(
                prefix, ADOPT, [(member.address, (view.waiting, now, cursor, b"%d" % ADOPTED_AT_ONCE))]
            )
            if cursor in (b"0", FURTHER):
                break
    activated = yield from _each(
        prefix,
        ACTIVATE,
        [
            (
                member.address,
                (view.epoch, now, token, member.instance.encode(), pack(view), view.own(member.id)),
            )
            for member in view.members
        ],
    )
    return NEW_LEADER not in activated


def _join_words(making: Making, mesh_id: str, view: View) -> tuple[bytes, ...]:
    return (
        mesh_id.encode(),
        b"%d" % view.slots,
        b"%d" % FORMAT,
        b"%d" % making.now_ms,
        making.key_id.encode(),
        JOINED,
    )


def _each(
    prefix: bytes, script: Script, asked: Sequence[tuple[str, tuple[bytes, ...]]]
) -> GroupSteps[list[Any]]:
    """Run a script on some nodes, all of which must answer."""
    replies = yield Round([Call(script, prefix, args, node=address) for address, args in asked], all_answered)
    answers: list[Any] = []
    for (address, _), reply in zip(asked, replies, strict=True):
        if isinstance(reply, NodeError) and reply.text.startswith("STALETOKEN"):
            answers.append(NEW_LEADER)
        elif _is_further(reply):
            answers.append(FURTHER)
        elif isinstance(reply, (Refused, NoAnswer, NodeError)):
            raise _silent(address, reply)
        else:
            answers.append(reply)
    return answers


def _is_further(reply: Reply) -> bool:
    """Tell whether a node obeys the view already, or a later one: somebody else made it, too."""
    return isinstance(reply, NodeError) and reply.text.startswith("STALEVIEW")
