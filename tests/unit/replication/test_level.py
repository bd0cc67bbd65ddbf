"""Backups become what their primaries are: what they lack, have otherwise, or have besides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.errors import InvariantBroken
from taskmesh.queue.claim import claim
from taskmesh.queue.commit import commit
from taskmesh.queue.enqueue import enqueue
from taskmesh.queue.workers import register
from taskmesh.replication.level import Learner, drop_unheld, level, mark_level
from tests.unit.replication.small_mesh import PREFIX, SLOTS, SmallMesh, make_view, message

INCARNATION = b"a" * 16
HOLDER = INCARNATION + b"000001"
ALL = range(SLOTS)


@pytest.fixture
def mesh() -> SmallMesh:
    """Return a mesh in which much happened while n3 was away."""
    mesh = SmallMesh(make_view())
    some = [message(at) for at in range(30)]
    mesh.run(enqueue(mesh.session, some, patience_s=0))
    mesh.run(register(mesh.session, INCARNATION, b"{}"), "n1")
    mesh.nodes["n3"].crash()
    view = mesh.standing.view
    late = [each for at in range(30, 60) if view.primary(int((each := message(at)).slot, 16)) != "n3"]
    mesh.run(enqueue(mesh.session, late, patience_s=0, sent_before=True))
    done = mesh.run(claim(mesh.session, HOLDER, 1, 5, [b"default"], idle=False), "n1")
    for each in done:
        mesh.run(
            commit(mesh.session, HOLDER, b"build", [], [each.task_id, each.token, b"K", b"x"], patience_s=0)
        )
    mesh.nodes["n3"].restart()
    return mesh


def differences(mesh: SmallMesh) -> list[bytes]:
    view = mesh.standing.view
    ids = {
        key[len(PREFIX) + 2 :]
        for node in mesh.nodes.values()
        for key in node.values
        if key.startswith(PREFIX + b"r:")
    }
    out = []
    for task_id in ids:
        copies = {mesh.record(node, task_id) for node in mesh.nodes}
        slot = next(int(copy[52:56], 16) for copy in copies if copy)
        assert mesh.record(view.primary(slot), task_id) in copies
        if len(copies) > 1:
            out.append(task_id)
        for node in mesh.nodes:
            live = task_id in mesh.members_of(node, b"L:%04x" % slot)
            final = task_id in mesh.members_of(node, b"F:%04x" % slot)
            if live == final:
                out.append(task_id)
    return out


def test_what_a_backup_missed_is_copied(mesh: SmallMesh) -> None:
    assert differences(mesh)
    found = mesh.converse(level(mesh.standing, ALL))
    assert sorted(found.compared) == list(ALL)
    assert not found.missed
    assert found.copied
    assert not differences(mesh)
    again = mesh.converse(level(mesh.standing, ALL))
    assert (again.copied, again.removed, again.missed) == (0, 0, [])


def test_what_only_a_backup_has_is_removed(mesh: SmallMesh) -> None:
    mesh.converse(level(mesh.standing, ALL))
    extra = message(999)
    row = mesh.standing.view.table[int(extra.slot, 16)]
    node = mesh.nodes[row[1]]
    node.call((b"SET", PREFIX + b"r:" + extra.task_id, extra.record))
    node.call((b"SADD", PREFIX + b"L:" + extra.slot, extra.task_id))
    assert mesh.converse(level(mesh.standing, ALL)).removed == 1
    assert mesh.record(row[1], extra.task_id) is None
    assert not differences(mesh)


def test_a_change_that_never_counted_gives_way(mesh: SmallMesh) -> None:
    """A backup led once, and noted something that nobody else heard of; its version is the greater one."""
    mesh.converse(level(mesh.standing, ALL))
    some = message(0)
    row = mesh.standing.view.table[int(some.slot, 16)]
    record = mesh.record(row[0], some.task_id)
    node = mesh.nodes[row[2]]
    node.call((b"SET", PREFIX + b"r:" + some.task_id, record[:2] + b"zzzz0000" + record[10:]))
    mesh.converse(level(mesh.standing, ALL))
    assert not differences(mesh)


def test_a_silent_replica_leaves_its_slots_unlevel(mesh: SmallMesh) -> None:
    mesh.nodes["n2"].crash()
    found = mesh.converse(level(mesh.standing, ALL))
    assert sorted(found.missed) == list(ALL)
    assert not found.compared


def test_in_another_view_nothing_is_done(mesh: SmallMesh) -> None:
    newer = make_view(2)
    mesh.activate("n3", newer)
    found = mesh.converse(level(mesh.standing, ALL))
    assert not found.compared
    assert not mesh.converse(mark_level(mesh.standing, mesh.standing.view, 5))


def test_all_nodes_hear_up_to_when_they_are_level(mesh: SmallMesh) -> None:
    assert mesh.converse(mark_level(mesh.standing, mesh.standing.view, 5))
    for node in mesh.nodes.values():
        assert node.call((b"GET", PREFIX + b"level")) == b"5"


@pytest.mark.parametrize("disk", ["empty", "old"])
def test_a_learner_gets_all_that_primaries_have_and_keeps_nothing_else(mesh: SmallMesh, disk: str) -> None:
    view = mesh.standing.view
    learner = mesh.nodes["n3"]
    shorter = tuple(tuple(node for node in row if node != "n3") for row in view.table)
    newer = replace(view, number=2, table=shorter)
    extra = message(999)
    learner.call((b"SET", PREFIX + b"r:" + extra.task_id, extra.record))
    learner.call((b"SADD", PREFIX + b"L:" + extra.slot, extra.task_id))
    if disk == "empty":
        learner.wipe()
    learner.call((b"SET", PREFIX + b"epoch", newer.waiting))
    for node in ("n1", "n2"):
        mesh.activate(node, newer)
    mesh.standing.take(newer)
    left: list[int] = []
    found = mesh.converse(level(mesh.standing, ALL, learner=Learner("n3", newer.waiting), note=left.append))
    assert sorted(found.compared) == list(ALL)
    assert left == [SLOTS]
    for slot in ALL:
        for kind in (b"L", b"F"):
            key = kind + b":%04x" % slot
            assert mesh.members_of("n3", key) == mesh.members_of(newer.primary(slot), key)
    assert mesh.record("n3", extra.task_id) is None


def test_what_a_node_keeps_no_more_is_dropped(mesh: SmallMesh) -> None:
    mesh.converse(level(mesh.standing, ALL))
    view = mesh.standing.view
    shorter = tuple(
        tuple(node for node in row if node != "n3") if slot % 2 else row
        for slot, row in enumerate(view.table)
    )
    newer = replace(view, number=2, table=shorter)
    for node in mesh.nodes:
        mesh.activate(node, newer)
    mesh.standing.take(newer)
    gone = [slot for slot in ALL if "n3" not in shorter[slot]]
    had = {key for key in mesh.nodes["n3"].values if key.startswith(PREFIX + b"r:")}
    with pytest.raises(InvariantBroken):
        mesh.converse(drop_unheld(mesh.standing, newer, "n3", ALL))
    assert mesh.converse(drop_unheld(mesh.standing, view, "n3", [])) == 0
    removed = mesh.converse(drop_unheld(mesh.standing, newer, "n3", gone))
    left = {key for key in mesh.nodes["n3"].values if key.startswith(PREFIX + b"r:")}
    assert removed
    assert len(left) == len(had) - removed
    for key in left:
        assert int(mesh.nodes["n3"].values[key][52:56], 16) not in gone
    for slot in gone:
        assert not mesh.members_of("n3", b"L:%04x" % slot)
        assert not mesh.members_of("n3", b"F:%04x" % slot)
