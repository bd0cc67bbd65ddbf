"""The first view: made once, of all nodes that are named, or of the one that holds the mesh already."""

from __future__ import annotations

import itertools

import pytest

from taskmesh.core.steps import NodeError, Refused, Session
from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.queue.claim import claim
from taskmesh.queue.enqueue import enqueue
from taskmesh.queue.workers import register
from taskmesh.replication.founding import Making, found
from taskmesh.replication.join import join
from taskmesh.replication.packed_view import unpack
from taskmesh.replication.spread import spread
from taskmesh.replication.standing import Standing
from taskmesh.testing.lua_runtime import SimulatedError
from taskmesh.testing.simulated_node import SimulatedNode
from tests.unit.replication.small_mesh import NOW_MS, PREFIX, SLOTS, message

ADDRESSES = ["redis://c:6379", "redis://a:6379", "redis://b:6379"]


class Servers(dict[str, SimulatedNode]):
    """Servers by address, and how often they were asked."""

    def __init__(self) -> None:
        super().__init__({address: SimulatedNode(address) for address in ADDRESSES})
        self.rounds = 0
        self.names: dict[str, str] = {}

    def run(self, steps, stop_after: int | None = None):
        try:
            request = next(steps)
            while True:
                if stop_after is not None and self.rounds >= stop_after:
                    return None
                self.rounds += 1
                request = steps.send([self.answer(call) for call in getattr(request, "calls", request)])
        except StopIteration as stop:
            return stop.value

    def answer(self, call):
        node = self[self.names.get(call.node, call.node)]
        if not node.running:
            return Refused("down")
        reply = (
            node.eval(call.script.source, [call.prefix], call.args) if call.script else node.call(call.args)
        )
        return NodeError(reply.text) if isinstance(reply, SimulatedError) else reply


@pytest.fixture
def servers() -> Servers:
    return Servers()


def making(chance: int = 0) -> Making:
    numbers = itertools.count(chance * 1000 + 1)
    return Making(ADDRESSES, SLOTS, 3, "mesh-id", "key-id", NOW_MS, lambda: f"{next(numbers):016x}")


def epochs(servers: Servers) -> list[object]:
    return [node.call((b"GET", PREFIX + b"epoch")) for node in servers.values()]


def test_all_nodes_obey_the_first_view(servers: Servers) -> None:
    view = servers.run(found(PREFIX, making()))
    assert [member.address for member in view.members] == ADDRESSES
    assert view.replicas == 3
    assert {len(row) for row in view.table} == {3}
    assert epochs(servers) == [view.epoch] * 3
    for member in view.members:
        node = servers[member.address]
        assert unpack(node.call((b"GET", PREFIX + b"view"))) == view
        assert node.call((b"GET", PREFIX + b"own")) == view.own(member.id)
        assert node.call((b"HGET", PREFIX + b"meta", b"mesh_id")) == b"mesh-id"


def test_whoever_is_interrupted_anywhere_is_followed_by_one_who_goes_on(servers: Servers) -> None:
    for stop_after in range(1, 40):
        some = Servers()
        if some.run(found(PREFIX, making()), stop_after) is not None:
            break
        some.rounds = 0
        view = some.run(found(PREFIX, making(1)))
        assert epochs(some) == [view.epoch] * 3
        instances = {
            member.address: some[member.address].call((b"HGET", PREFIX + b"me", b"instance"))
            for member in view.members
        }
        assert instances == {member.address: member.instance.encode() for member in view.members}
    assert stop_after > 6


def test_two_who_make_it_at_once_make_one(servers: Servers) -> None:
    """One step of either in turn, whoever begins and however far ahead."""
    for ahead in range(8):
        some = Servers()
        both = [found(PREFIX, making()), found(PREFIX, making(1))]
        views = {}
        waiting = {}
        for at, steps in enumerate(both):
            waiting[at] = next(steps)
        for turn in itertools.count():
            at = 0 if turn < ahead and 0 in waiting else turn % 2
            if at not in waiting:
                if not waiting:
                    break
                continue
            try:
                waiting[at] = both[at].send([some.answer(call) for call in waiting[at].calls])
            except StopIteration as stop:
                views[at] = stop.value
                del waiting[at]
        assert views[0] == views[1]
        assert epochs(some) == [views[0].epoch] * 3


def test_a_node_that_does_not_answer_is_named(servers: Servers) -> None:
    servers["redis://b:6379"].crash()
    with pytest.raises(
        NodeUnavailable, match="redis://b:6379 must answer when a mesh of several nodes is made"
    ):
        servers.run(found(PREFIX, making()))


def test_two_meshes_are_not_made_one(servers: Servers) -> None:
    for address, name in zip(ADDRESSES, ("one", "two"), strict=False):
        session = Session(PREFIX, b"", SLOTS, lambda: NOW_MS)
        servers.names[""] = address
        servers.run(join(session, mesh_id=name, slots=SLOTS, key_id=""))
    with pytest.raises(ConfigError, match="hold different meshes of this name"):
        servers.run(found(PREFIX, making()))


def test_a_node_that_holds_the_mesh_alone_keeps_all_it_holds(servers: Servers) -> None:
    session = Session(PREFIX, b"", SLOTS, lambda: NOW_MS)
    servers.names[""] = "redis://a:6379"
    servers.run(join(session, mesh_id="alone", slots=SLOTS, key_id=""))
    messages = [message(at) for at in range(20)]
    assert len(servers.run(enqueue(session, messages, patience_s=0)).accepted) == 20
    view = servers.run(found(PREFIX, making()))
    assert [member.address for member in view.members] == ["redis://a:6379"]
    servers.names["n1"] = "redis://a:6379"
    standing = Standing(view, session)
    servers.run(spread(register(session, b"a" * 16, b"{}"), standing, "n1"))
    found_there = servers.run(
        spread(claim(session, b"a" * 16 + b"000001", 1, 100, [b"default"], idle=False), standing, "n1")
    )
    assert {each.task_id for each in found_there} == {each.task_id for each in messages}


def test_who_finds_one_begun_with_servers_that_were_started_anew_makes_it_of_all(servers: Servers) -> None:
    """Whoever began it died, and so did one server, with its disk or without: nobody obeys anything yet."""
    for stop_after in range(1, 40):
        for address, loses in itertools.product(ADDRESSES, (False, True)):
            some = Servers()
            if some.run(found(PREFIX, making()), stop_after) is not None:
                return
            if any(epoch and epoch.startswith(b"f") for epoch in epochs(some)):
                return
            some[address].crash()
            if loses:
                some[address].wipe()
            some[address].restart()
            some.rounds = 0
            view = some.run(found(PREFIX, making(1)), 60)
            assert view is not None, f"it never ends: {stop_after} rounds, {address}, {loses}"
            assert [member.address for member in view.members] == ADDRESSES
            assert epochs(some) == [view.epoch] * 3
            assert len({node.call((b"HGET", PREFIX + b"meta", b"mesh_id")) for node in some.values()}) == 1


def test_one_server_by_two_names_is_refused(servers: Servers) -> None:
    servers.names["redis://b:6379"] = "redis://a:6379"
    with pytest.raises(ConfigError, match="are one server by two names"):
        servers.run(found(PREFIX, making()), 60)


def test_one_begun_with_others_is_named(servers: Servers) -> None:
    servers["redis://c:6379"].call((b"HSET", PREFIX + b"me", b"id", b"n2", b"instance", b"1"))
    with pytest.raises(ConfigError, match="was to become n2 of a mesh that was begun"):
        servers.run(found(PREFIX, making()), 60)


def alone(servers: Servers) -> SimulatedNode:
    """Return a node that holds the mesh by itself."""
    servers.names[""] = "redis://b:6379"
    servers.run(join(Session(PREFIX, b"", SLOTS, lambda: NOW_MS), mesh_id="m", slots=SLOTS, key_id="k"))
    return servers["redis://b:6379"]


def test_a_node_that_held_the_mesh_alone_and_knows_a_leader_becomes_a_member(servers):
    holder = alone(servers)
    holder.call((b"SET", PREFIX + b"leader", b"7"))
    view = servers.run(found(PREFIX, making()))
    assert [member.address for member in view.members] == ["redis://b:6379"]
    assert holder.call((b"GET", PREFIX + b"epoch")) == view.epoch
    assert holder.call((b"GET", PREFIX + b"leader")) == b"7"


def test_a_leader_who_comes_meanwhile_is_no_hindrance(servers):
    holder = alone(servers)
    answer, tokens = servers.answer, iter([b"8", b"9"])

    def answer_and_elect(call):
        if call.script is not None and call.script.name in ("replication.fence", "replication.activate"):
            token = next(tokens, None)
            if token:
                holder.call((b"SET", PREFIX + b"leader", token))
        return answer(call)

    servers.answer = answer_and_elect
    view = servers.run(found(PREFIX, making()))
    assert holder.call((b"GET", PREFIX + b"epoch")) == view.epoch
    assert holder.call((b"GET", PREFIX + b"leader")) == b"9"
