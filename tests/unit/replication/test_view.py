"""A view says who keeps what, survives being packed, and cannot contradict itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.errors import ImpossibleView, Malformed, NewerFormat
from taskmesh.replication import packed_view
from taskmesh.replication.view import ACTIVE, MOVING, Member, View


def member(number: int, **changes: Any) -> Member:
    """Return the n-th member of a mesh."""
    made = Member(f"n{number}", f"redis://host{number}:6379", f"{number:016x}", f"{number:040x}")
    return replace(made, **changes)


def view(**changes: Any) -> View:
    """Return a view of three nodes and four slots."""
    given = {
        "number": 7,
        "phase": ACTIVE,
        "slots": 4,
        "replicas": 3,
        "members": (member(1), member(2), member(3)),
        "table": (("n1", "n2", "n3"), ("n2", "n3", "n1"), ("n3", "n1"), ("n2",)),
    }
    return View(**{**given, **changes})


def test_says_who_keeps_what() -> None:
    """Primaries, backups, and how many of them are needed, for rows of each length."""
    found = view()

    assert found.epoch == b"f00000000007"
    assert found.waiting == b"x00000000007"
    assert [found.primary(slot) for slot in range(4)] == ["n1", "n2", "n3", "n2"]
    assert [found.backups(slot) for slot in range(4)] == [("n2", "n3"), ("n3", "n1"), ("n1",), ()]
    assert [found.copies_needed(slot) for slot in range(4)] == [2, 2, 2, 1]
    assert [found.fences_needed(slot) for slot in range(4)] == [2, 2, 1, 1]
    assert found.own("n2") == b"0101"
    assert found.led_by("n2") == (1, 3)
    assert found.led_by("n9") == ()
    assert found.held_by("n1") == (0, 1, 2)


def test_any_majority_meets_any_fence() -> None:
    """Where so many have stopped, what counts can be on none but them; for rows of each length."""
    for length in range(1, 10):
        nodes = tuple(f"n{number}" for number in range(1, length + 1))
        members = tuple(member(number) for number in range(1, length + 1))
        found = view(slots=1, replicas=length, members=members, table=(nodes,))
        assert found.copies_needed(0) + found.fences_needed(0) == length + 1
        assert 2 * found.copies_needed(0) > length


@pytest.mark.parametrize("count", [1, 3, 255, 256, 300])
def test_survives_being_packed(count: int) -> None:
    """With one byte for a copy, and with two; moving, with the one before it."""
    members = tuple(member(number, domain="rack", weight=7) for number in range(1, count + 1))
    rows = tuple((f"n{slot % count + 1}",) for slot in range(1024))
    before = view(members=members, slots=1024, table=rows)
    after = replace(before, number=8, phase=MOVING, before=before)

    assert packed_view.unpack(packed_view.pack(after)) == after
    assert packed_view.unpack(packed_view.pack(after.activated())) == after.activated()
    if count == 255:
        assert len(packed_view.pack(before)) < 255 * 100 + 1024 + 100


@given(st.data())
def test_survives_being_packed_whatever_it_is(data: st.DataObject) -> None:
    """Rows of any lengths and members in any state."""
    count = data.draw(st.integers(1, 9))
    members = tuple(member(number) for number in range(1, count + 1))
    members += (member(count + 1, state="lost", run_id=""), member(count + 2, state="learner"))
    ids = [each.id for each in members[:count]]
    row = st.permutations(ids).flatmap(lambda some: st.integers(1, len(some)).map(lambda n: tuple(some[:n])))
    slots = data.draw(st.integers(1, 40))
    found = view(
        number=data.draw(st.integers(1, 16**11 - 1)),
        slots=slots,
        replicas=count,
        members=members,
        table=tuple(data.draw(row) for _ in range(slots)),
    )

    assert packed_view.unpack(packed_view.pack(found)) == found


def test_a_large_one_is_split() -> None:
    """65,536 slots of a thousand nodes: parts that registers can hold, each named by what is in it."""
    members = tuple(member(number) for number in range(1, 1001))
    table = tuple(tuple(f"n{(slot * 7 + at * 331) % 1000 + 1}" for at in range(3)) for slot in range(65_536))
    before = view(members=members, slots=65_536, table=table)
    found = replace(before, number=8, phase=MOVING, before=before)

    content, parts = packed_view.split(packed_view.pack(found), 4)
    assert len(content) < 2_000
    assert all(len(part) <= packed_view.REGISTER_BYTES_MAX for part in parts.values())
    assert packed_view.parts_of(content) == tuple(parts)
    assert packed_view.unpack(packed_view.joined(content, parts)) == found
    some = next(iter(parts))
    with pytest.raises(Malformed, match=some):
        packed_view.joined(content, {**parts, some: b"other"})
    with pytest.raises(Malformed, match=some):
        packed_view.joined(content, {name: part for name, part in parts.items() if name != some})


def test_a_small_one_is_whole() -> None:
    """One register, and no part."""
    content, parts = packed_view.split(packed_view.pack(view()), 4)
    assert (parts, packed_view.parts_of(content)) == ({}, ())
    assert packed_view.unpack(packed_view.joined(content, {})) == view()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"number": 0}, "number of a view"),
        ({"phase": "half"}, "'half'"),
        ({"slots": 5}, "5 slots, and a table of 4"),
        ({"replicas": 10}, "10 replicas"),
        ({"members": ()}, "0 members"),
        ({"replicas": 2}, "slot 0 has 3 copies"),
        (
            {"members": (member(1), member(2), member(3), member(3, instance="a"))},
            "two members have the id 'n3'",
        ),
        ({"members": (member(1), member(2), member(3, instance="1".zfill(16)))}, "the instance"),
        ({"members": (member(1), member(2), member(3, address="redis://host1:6379"))}, "the address"),
        ({"members": (member(1), member(2), member(3, id="n 3"))}, "no id of a node"),
        ({"members": (member(1), member(2), member(3, state="away"))}, "'away'"),
        ({"members": (member(1), member(2), member(3, weight=-1))}, "weight -1"),
        ({"members": (member(1), member(2), member(3, run_id=""))}, "lacks its address"),
        ({"members": (member(1), member(2))}, "kept by n3, which is no member"),
        ({"members": (member(1), member(2), member(3, state="lost"))}, "kept by n3, which is lost"),
        ({"table": (("n1",), ("n1",), ("n1",), ())}, "nobody keeps slot 3"),
        ({"table": (("n1",), ("n1",), ("n1",), ("n1", "n1"))}, "kept twice"),
        ({"before": view(number=6)}, "active, and yet to come"),
        ({"phase": MOVING, "before": view(number=7)}, "cannot come from view 7"),
        ({"phase": MOVING, "before": view(number=5, phase=MOVING)}, "cannot come from view 5"),
        (
            {"phase": MOVING, "before": view(number=5, members=(*view().members, member(4)))},
            "does not know n4",
        ),
    ],
)
def test_an_impossible_one_is_refused(changes: dict[str, Any], why: str) -> None:
    """By name, when it is made."""
    with pytest.raises(ImpossibleView, match=why):
        view(**changes)


def test_what_is_no_view_is_refused() -> None:
    """Other bytes, a newer format, and a view that somebody made impossible."""
    packed = packed_view.pack(view())
    for broken in (b"", b"\x93\x01\x02\x03", packed[:-1], b"nonsense"):
        with pytest.raises(Malformed):
            packed_view.unpack(broken)
    with pytest.raises(NewerFormat):
        packed_view.unpack(packed.replace(b"\x01", b"\x02", 1))
    with pytest.raises(Malformed):
        packed_view.unpack(packed.replace(b"active", b"abtive", 1))
