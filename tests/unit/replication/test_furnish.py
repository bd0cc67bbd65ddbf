"""Who comes in is given what stands on every node, by one that has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.errors import NodeUnavailable
from taskmesh.replication.founding import Stand
from taskmesh.replication.furnish import furnish, source_of
from taskmesh.replication.view import View
from tests.unit.replication.small_mesh import PREFIX, SLOTS, SmallMesh, make_view


def stands(view: View) -> dict[str, Stand]:
    return {
        member.id: Stand(member.id, member.instance, member.run_id, view.epoch, 0, "m", SLOTS)
        for member in view.members
    }


def test_a_node_is_given_what_another_one_has() -> None:
    mesh = SmallMesh(make_view())
    mesh.nodes["n1"].call((b"HSET", PREFIX + b"meta", b"mesh_id", b"m"))
    mesh.nodes["n3"].call((b"SADD", PREFIX + b"paused", b"old"))
    mesh.converse(furnish(PREFIX, "n1", "n3"))
    assert mesh.nodes["n3"].call((b"HGETALL", PREFIX + b"meta")) == [b"mesh_id", b"m"]
    assert mesh.nodes["n3"].call((b"SMEMBERS", PREFIX + b"paused")) == []


def test_who_lost_its_disk_gives_nothing() -> None:
    """Who came in by it would be a member of no mesh, which the next leader takes for a stranger for ever."""
    mesh = SmallMesh(make_view())
    mesh.nodes["n3"].call((b"HSET", PREFIX + b"meta", b"mesh_id", b"m"))
    with pytest.raises(NodeUnavailable, match="n1 belongs to no mesh"):
        mesh.converse(furnish(PREFIX, "n1", "n3"))
    assert mesh.nodes["n3"].call((b"HGETALL", PREFIX + b"meta")) == [b"mesh_id", b"m"]


def test_the_source_is_a_member_that_lost_nothing() -> None:
    view = make_view()
    first, second, third = view.nodes
    seen = stands(view)
    assert source_of(view, seen) == first
    seen[first] = replace(seen[first], id="", instance="", mesh_id="")
    seen[second] = replace(seen[second], instance="e" * 16)
    assert source_of(view, seen) == third
    del seen[third]
    assert source_of(view, seen) is None
