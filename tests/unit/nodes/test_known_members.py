"""What a process remembers of meshes, so that it makes no second one in the place of a member."""

from __future__ import annotations

from dataclasses import replace

from taskmesh.nodes.known_members import addresses_of, beside, forget, remember
from taskmesh.replication.view import DRAINED, LOST
from tests.unit.replication.small_mesh import make_view


def test_who_names_a_member_is_told_of_the_others():
    remember(b"a:", ["one", "two", "three"])
    assert beside(b"a:", ["two"]) == ["one", "three"]
    assert beside(b"a:", ["one", "two", "three"]) == []
    assert beside(b"a:", ["four"]) == []
    assert beside(b"b:", ["two"]) == []


def test_a_newer_view_takes_the_place_of_the_one_before():
    remember(b"a:", ["one", "two"])
    remember(b"a:", ["two", "three"])
    assert beside(b"a:", ["one"]) == []
    assert beside(b"a:", ["two"]) == ["three"]


def test_two_meshes_of_one_name_are_two():
    remember(b"a:", ["one", "two"])
    remember(b"a:", ["three", "four"])
    assert beside(b"a:", ["one"]) == ["two"]
    assert beside(b"a:", ["three"]) == ["four"]
    forget()
    assert beside(b"a:", ["one"]) == []


def test_what_is_remembered_are_those_that_may_keep_something():
    view = make_view()
    one, two, three = view.members
    table = tuple(("n1",) for _ in view.table)
    view = replace(view, members=(one, replace(two, state=DRAINED), replace(three, state=LOST)), table=table)
    assert addresses_of(view) == ("redis://n1:6379", "redis://n3:6379")
    assert addresses_of(None) == ()
