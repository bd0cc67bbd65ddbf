"""Which member a server is already, by what stands on it."""

from __future__ import annotations

import pytest

from taskmesh.coordination.node_wish import NodeWish, NodeWishes
from taskmesh.nodes.known_node import member_of, why_not_new
from taskmesh.replication.founding import Stand
from taskmesh.replication.view import Member, View

MEMBERS = (
    Member("n1", "redis://a:1", "a" * 16, "r1"),
    Member("n2", "redis://b:1", "b" * 16, "r2", 0, "", "drained"),
    Member("n3", "redis://c:1", "c" * 16, "r3", 0, "", "drained"),
)
VIEW = View(4, "active", 1, 1, MEMBERS, (("n1",),))
WISHES = NodeWishes({"n2": NodeWish("redis://b:1", 0), "n3": NodeWish("redis://c:1", leaves=True)})


@pytest.mark.parametrize(
    ("node", "instance", "mesh_id", "who"),
    [
        ("n2", "b" * 16, "ours", "n2"),
        ("n2", "d" * 16, "ours", "n2"),
        ("", "", "ours", "n1"),
        ("n2", "d" * 16, "other", None),
        ("n9", "d" * 16, "ours", None),
        ("", "", "other", None),
        ("", "", "", None),
    ],
)
def test_a_server_is_known_by_its_instance_or_by_its_id_in_this_mesh(node, instance, mesh_id, who):
    found = member_of(Stand(node, instance, "run", b"", 0, mesh_id, 1), VIEW, "ours")
    assert (found.id if found else None) == who


@pytest.mark.parametrize(
    ("at", "says", "is_emptied"),
    [
        (0, "is n1 of this mesh already, known as redis://a:1 (up)", False),
        (1, "`taskmesh nodes weight n2 100` has it take part again", False),
        (2, "which was removed for good", True),
    ],
)
def test_only_who_was_removed_is_to_be_emptied(at, says, is_emptied):
    text = why_not_new("redis://x:1", MEMBERS[at], VIEW, WISHES)
    assert says in text
    assert ("FLUSHALL" in text) == is_emptied
