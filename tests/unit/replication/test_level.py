"""Backups become what their primaries are: what they lack, have otherwise, or have besides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.errors import InvariantBroken
from taskmesh.queue.claim import claim
from taskmesh.queue.commit import commit
from taskmesh.queue.enqueue import enqueue
from taskmesh.queue.workers import register
from taskmesh.replication.level import Learner, drop_unheld, level, mark_level, prune
from taskmesh.replication.pieces import PIECE_BYTES
from taskmesh.replication.view import View
from taskmesh.results.read import forget
from tests.unit.replication.small_mesh import NOW_MS, PREFIX, SLOTS, SmallMesh, make_view, message

INCARNATION = b"a" * 16
HOLDER = INCARNATION + b"000001"
ALL = range(SLOTS)
COUNT = 40


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


def test_an_end_that_never_counted_gives_way_to_what_goes_on(mesh: SmallMesh) -> None:
    """Who led before had an outcome, and too few others; by the next view the message goes on, and is newer."""
    mesh.converse(level(mesh.standing, ALL))
    (done,) = mesh.run(claim(mesh.session, HOLDER, 2, 1, [b"default"], idle=False), "n1")
    primary, record = mesh.nodes["n1"], mesh.record("n1", done.task_id)
    disk = primary.snapshot()
    entries = [done.task_id, done.token, b"K", b"x"]
    mesh.run(commit(mesh.session, HOLDER, b"build", [], entries, patience_s=0))
    slot = record[52:56]
    backup = mesh.standing.view.table[int(slot, 16)][1]
    assert mesh.record(backup, done.task_id)[1:2] == b"K"
    primary.restore(disk)
    primary.call((b"SET", PREFIX + b"r:" + done.task_id, record[:2] + b"zzzz0000" + record[10:]))
    mesh.converse(level(mesh.standing, ALL))
    assert not differences(mesh)
    assert done.task_id in mesh.members_of(backup, b"L:" + slot)
    assert done.task_id not in mesh.members_of(backup, b"F:" + slot)


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


@pytest.fixture
def listed() -> tuple[SmallMesh, View]:
    """Return a mesh whose nodes list messages that wait for their time, and the view in which n1 leads all of them."""
    mesh = SmallMesh(make_view())
    some = [message(at, due_ms=b"%d" % (NOW_MS + 60_000)) for at in range(COUNT)]
    mesh.run(enqueue(mesh.session, some, patience_s=0))
    view = mesh.standing.view
    table = tuple(("n1", *(node for node in row if node != "n1")) for row in view.table)
    return mesh, replace(view, number=2, table=table)


def test_what_a_node_leads_no_more_is_not_listed_there(listed: tuple[SmallMesh, View]) -> None:
    mesh, newer = listed
    before = {node: len(mesh.index_of(node, b"d")) for node in mesh.nodes}
    assert sum(before.values()) == COUNT
    assert mesh.converse(prune(mesh.standing, mesh.standing.view, "n2")) == 0
    assert mesh.converse(prune(mesh.standing, newer, "n2")) == 0  # not told of it yet
    for node in mesh.nodes:
        mesh.activate(node, newer)
    mesh.standing.take(newer)
    for node in ("n2", "n3"):
        assert mesh.converse(prune(mesh.standing, newer, node)) == before[node] > 0
        assert not mesh.index_of(node, b"d")
    assert mesh.converse(prune(mesh.standing, newer, "n1")) == 0
    assert len(mesh.index_of("n1", b"d")) == before["n1"]
    mesh.nodes["n3"].running = False
    assert mesh.converse(prune(mesh.standing, newer, "n3")) == 0


def test_of_dead_letters_those_stay_that_a_node_leads_and_that_nobody_dropped(mesh: SmallMesh) -> None:
    """One was dropped while the node was away, one is another node's, one is as it was."""
    task_id, row = ended(mesh)
    other = next(node for node in row if node != row[0])
    record = mesh.record(row[0], task_id)
    dead, dropped = (
        record[:1] + b"D" + record[2:],
        record[:1] + b"D" + record[2:94] + b"%08x" % 0 + record[102:108],
    )
    for node in (row[0], other):
        mesh.nodes[node].call((b"SET", PREFIX + b"r:" + task_id, dead))
        mesh.nodes[node].call((b"ZADD", PREFIX + b"dead", b"1", task_id))
    view = mesh.standing.view
    assert [mesh.converse(prune(mesh.standing, view, node)) for node in (row[0], other)] == [0, 1]
    assert (mesh.index_of(row[0], b"dead"), mesh.index_of(other, b"dead")) == ([task_id], [])
    mesh.nodes[row[0]].call((b"SET", PREFIX + b"r:" + task_id, dropped))
    assert mesh.converse(prune(mesh.standing, view, row[0])) == 1


ENDED_MS = NOW_MS - 60_000


def ended(mesh: SmallMesh, *, kept_s: int = 3600, padding: int = 0) -> tuple[bytes, tuple[str, ...]]:
    """Have a message with an outcome stand on all copies; return its id, and its nodes, primary first."""
    some = message(5)
    row = mesh.standing.view.table[int(some.slot, 16)]
    mesh.run(enqueue(mesh.session, [some], patience_s=0))
    mesh.converse(level(mesh.standing, ALL))
    record = mesh.record(row[0], some.task_id)
    widths, names = (
        record[102:108],
        record[108 : 108 + sum(int(record[at : at + 2], 16) for at in (102, 104, 106))],
    )
    final = (
        b"1K"
        + record[2:74]
        + b"%012x%08x%08x" % (ENDED_MS, kept_s, padding + len(OUTCOME))
        + widths
        + names
        + b"x" * padding
        + OUTCOME
    )
    for node in row:
        mesh.nodes[node].call((b"SET", PREFIX + b"r:" + some.task_id, final))
        mesh.nodes[node].call((b"SREM", PREFIX + b"L:" + some.slot, some.task_id))
        mesh.nodes[node].call((b"SADD", PREFIX + b"F:" + some.slot, some.task_id))
    return some.task_id, row


def strip(mesh: SmallMesh, node: str, task_id: bytes) -> None:
    """Have a node drop its copy of an outcome before its time, as it does when it is short of memory."""
    record = mesh.record(node, task_id)
    queue = int(record[102:104], 16)
    stripped = record[:94] + b"0" * 8 + record[102:104] + b"0000" + record[108 : 108 + queue]
    mesh.nodes[node].call((b"SET", PREFIX + b"r:" + task_id, stripped))


OUTCOME = b"an outcome"


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_outcome_that_a_node_dropped_while_it_was_short_of_memory_comes_back(
    mesh: SmallMesh, at: int
) -> None:
    task_id, row = ended(mesh)
    strip(mesh, row[at], task_id)
    assert mesh.converse(level(mesh.standing, ALL)).removed == 0
    assert {mesh.record(node, task_id)[-len(OUTCOME) :] for node in row} == {OUTCOME}
    assert not differences(mesh)
    assert mesh.converse(level(mesh.standing, ALL)).copied == 0


@pytest.mark.parametrize("at", [0, 2])
def test_so_does_one_that_comes_in_pieces(mesh: SmallMesh, at: int) -> None:
    task_id, row = ended(mesh, padding=PIECE_BYTES * 2)
    strip(mesh, row[at], task_id)
    mesh.converse(level(mesh.standing, ALL))
    assert len({mesh.record(node, task_id) for node in row}) == 1
    assert mesh.record(row[at], task_id).endswith(OUTCOME)
    assert not differences(mesh)
    assert mesh.converse(level(mesh.standing, ALL)).copied == 0


def test_not_after_its_time_when_each_node_drops_it_as_it_comes_to_that(mesh: SmallMesh) -> None:
    task_id, row = ended(mesh, kept_s=30)
    strip(mesh, row[0], task_id)
    assert mesh.converse(level(mesh.standing, ALL)).copied == 0


@pytest.mark.parametrize("at", [0, 2])
def test_not_while_the_node_is_short_of_memory(mesh: SmallMesh, at: int) -> None:
    task_id, row = ended(mesh)
    strip(mesh, row[at], task_id)
    mesh.nodes[row[at]].set_memory_full(full=True)
    # nor is it asked for: whoever compares would send it again and again
    assert mesh.converse(level(mesh.standing, ALL)).copied == 0
    mesh.nodes[row[at]].set_memory_full(full=False)
    assert mesh.converse(level(mesh.standing, ALL)).copied > 0
    assert OUTCOME in mesh.record(row[at], task_id)


def test_a_dead_letter_that_its_primary_dropped_is_listed_again(mesh: SmallMesh) -> None:
    task_id, row = ended(mesh)
    for node in row:
        dead = mesh.record(node, task_id)
        mesh.nodes[node].call((b"SET", PREFIX + b"r:" + task_id, b"1D" + dead[2:]))
    strip(mesh, row[0], task_id)
    strip(mesh, row[1], task_id)
    for _ in range(2):
        mesh.converse(level(mesh.standing, ALL))
    assert {OUTCOME in mesh.record(node, task_id) for node in row} == {True}
    listed = [mesh.nodes[node].call((b"ZSCORE", PREFIX + b"dead", task_id)) for node in row]
    assert [each is not None for each in listed] == [True, False, False]
    assert float(listed[0]) == ENDED_MS


def test_what_is_forgotten_at_a_wish_stays_forgotten(mesh: SmallMesh) -> None:
    """Also where a copy of it did not hear of that."""
    task_id, row = ended(mesh)
    mesh.nodes[row[1]].crash()
    assert mesh.run(forget(mesh.session, [task_id.decode()], patience_s=0)) == 1
    mesh.nodes[row[1]].restart()
    mesh.converse(level(mesh.standing, ALL))
    assert [OUTCOME in mesh.record(node, task_id) for node in row] == [False] * 3
    assert not differences(mesh)
