"""When nodes have told enough of their views, and what is seen of strangers among them."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.steps import OUT, Refused, Reply, Round
from taskmesh.replication.packed_view import pack
from taskmesh.replication.seek import Sought, seek_view
from taskmesh.replication.view import ACTIVE, Member, View

A, B, C = (f"redis://{host}:6379" for host in "abc")
LOST = Refused("nobody is there")


def view(*addresses: str, number: int = 1) -> bytes:
    members = tuple(Member(f"n{at}", address, f"{at:016x}", "run") for at, address in enumerate(addresses, 1))
    return pack(View(number, ACTIVE, 1, 1, members, (("n1",),)))


def begun(nodes: Sequence[str]):
    """Return a search, and the round that it asks for."""
    steps = seek_view(b"p:", nodes)
    asked = next(steps)
    assert isinstance(asked, Round)
    return steps, asked


def sought(steps, replies: Sequence[Reply]) -> Sought:
    try:
        steps.send(replies)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it asks again")


def test_a_majority_of_members_is_enough():
    steps, asked = begun([A, B, C])
    theirs = view(A, B, C)
    assert not asked.enough([b"m", OUT, OUT, theirs, OUT, OUT])
    told = [b"m", b"m", OUT, theirs, theirs, OUT]
    assert asked.enough(told)
    assert sought(steps, told).stranger == ""


def test_who_is_no_member_is_waited_for_and_told_apart():
    steps, asked = begun([A, B, C])
    theirs = view(A, B, number=7)
    assert not asked.enough([b"m", b"m", OUT, theirs, theirs, OUT])
    told = [b"m", b"m", b"other", theirs, theirs, None]
    assert asked.enough(told)
    assert sought(steps, told).stranger == C


def test_who_is_no_member_and_does_not_answer_keeps_nobody():
    steps, asked = begun([A, B, C])
    told = [b"m", b"m", LOST, view(A, B), view(A, B), LOST]
    assert asked.enough(told)
    found = sought(steps, told)
    assert (found.stranger, found.by) == ("", A)


def test_a_members_server_that_holds_another_mesh_alone_is_no_stranger_until_it_tells_of_a_view():
    theirs = view(A, B, C, number=7)
    steps, _ = begun([A, B, C])
    assert sought(steps, [b"m", b"m", b"other", theirs, theirs, None]).stranger == ""
    steps, _ = begun([A, B, C])
    assert sought(steps, [b"m", b"m", b"other", theirs, theirs, view(C)]).stranger == C
