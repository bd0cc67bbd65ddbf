"""The last changes of a view, as they are told to people."""

from __future__ import annotations

import pytest

from taskmesh.errors import NodeUnavailable
from taskmesh.replication.history import KEPT, Change, note_change, read_changes
from tests.unit.replication.small_mesh import SmallMesh, make_view


def change(number: int, *, why: str = "n3 is gone | and more", is_failover: bool = True) -> Change:
    return Change(number, 1_000, 3_500, is_failover, why)


def test_it_says_how_long_it_took():
    assert change(2).took_s == 2.5
    assert Change.unpack(change(2).pack()) == change(2)
    # the clock was set back in between
    assert Change(2, 3_000, 1_000, is_failover=False, why="").took_s == 0


def test_the_newest_comes_first_and_each_is_told_once():
    mesh = SmallMesh(make_view())
    for number in (2, 3, 3, 4):
        mesh.run(note_change(mesh.session, change(number)))
    assert [each.number for each in mesh.run(read_changes(mesh.session))] == [4, 3, 2]


def test_what_one_node_missed_another_tells():
    mesh = SmallMesh(make_view())
    mesh.run(note_change(mesh.session, change(2)))
    mesh.nodes["n1"].crash()
    mesh.run(note_change(mesh.session, change(3)))
    mesh.nodes["n1"].restart()
    mesh.nodes["n2"].crash()
    assert [each.number for each in mesh.run(read_changes(mesh.session))] == [3, 2]
    for node in ("n1", "n3"):
        mesh.nodes[node].crash()
    with pytest.raises(NodeUnavailable):
        mesh.run(read_changes(mesh.session))


def test_old_ones_are_forgotten():
    mesh = SmallMesh(make_view())
    for number in range(1, KEPT + 3):
        mesh.run(note_change(mesh.session, change(number)))
    assert [each.number for each in mesh.run(read_changes(mesh.session))] == list(range(KEPT + 2, 2, -1))
