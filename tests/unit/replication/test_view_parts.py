"""Parts of large views are deleted once no view can need them, and no sooner."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from taskmesh.consensus.listing import names
from taskmesh.consensus.registers import Changed, Operation
from taskmesh.core.steps import GroupSteps
from taskmesh.errors import VersionConflict
from taskmesh.replication.packed_view import PART
from taskmesh.replication.view import MOVING, Member, View
from taskmesh.replication.view_parts import delete_outdated_parts
from taskmesh.replication.view_register import Kept, ViewRegister
from tests.unit.coordination.transaction_world import Mesh

SLOTS = 65_536


def large(number: int, *, shift: int = 0) -> View:
    """Return a view that is too large for one register."""
    members = tuple(
        Member(f"n{at}", f"redis://h{at}:1", f"{at:016x}", f"run-{at}", state="up") for at in range(1, 5)
    )
    table = tuple(tuple(f"n{(slot + shift + at) % 4 + 1}" for at in range(3)) for slot in range(SLOTS))
    return View(number, "active", SLOTS, 3, members, table)


class Leader:
    """One that reads and writes the view."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.means = mesh.process()
        self.register = ViewRegister(self.means.registers, os.urandom)

    def write(self, view: View, if_version: int) -> Kept:
        return self.mesh.run(self.register.write(view, if_version))

    def read(self) -> Kept:
        return self.mesh.run(self.register.read())

    def parts(self) -> list[str]:
        return self.mesh.run(names(self.means.registers, PART))

    def delete(self) -> int:
        return self.mesh.run(delete_outdated_parts(self.means.registers, self.means.operation))


@pytest.fixture
def make_leader() -> Callable[[], Leader]:
    mesh = Mesh()
    return lambda: Leader(mesh)


def test_what_only_earlier_views_needed_is_deleted(make_leader):
    leader = make_leader()
    first = large(1)
    kept = leader.write(first, 0)
    needed = set(leader.parts())
    assert len(needed) > 1
    second = replace(large(2, shift=1), phase=MOVING, before=first)
    kept = leader.write(second, kept.version)
    kept = leader.write(second.activated(), kept.version)
    before = set(leader.parts())
    assert leader.delete() > len(needed)
    assert set(leader.parts()) < before - needed
    assert leader.delete() == 0
    assert make_leader().read() == kept


class Interrupted:
    """Registers of a leader that is held up when it has written all parts."""

    def __init__(self, leader: Leader, meanwhile: Callable[[], object]) -> None:
        registers = leader.means.registers
        self.read, self.change = registers.read, registers.change
        self._registers, self._meanwhile = registers, meanwhile

    def compare_and_set(
        self, name: str, content: bytes, if_version: int, operation: Operation
    ) -> GroupSteps[Changed]:
        self._meanwhile()
        return self._registers.compare_and_set(name, content, if_version, operation)


def test_parts_of_a_view_that_is_being_written_stay(make_leader):
    """They may well be the same as those of one that was in force before."""
    leader, next_leader = make_leader(), make_leader()
    first = large(1)
    kept = leader.write(large(2, shift=1), leader.write(first, 0).version)
    next_leader.register = ViewRegister(Interrupted(next_leader, leader.delete), os.urandom)
    done = next_leader.write(replace(first, number=3), kept.version)
    assert make_leader().read() == done


def test_parts_of_a_view_that_never_came_to_be_are_deleted(make_leader):
    leader, late = make_leader(), make_leader()
    kept = leader.write(large(1), 0)
    late.register = ViewRegister(
        Interrupted(late, lambda: leader.write(large(2, shift=1), kept.version)), os.urandom
    )
    with pytest.raises(VersionConflict):
        late.write(large(2, shift=2), kept.version)
    done = leader.read()
    leader.delete()
    late_parts = leader.parts()
    assert late_parts
    kept = leader.write(large(3), done.version)
    leader.delete()
    assert not set(late_parts) & set(leader.parts())
    assert make_leader().read() == kept
