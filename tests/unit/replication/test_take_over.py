"""From one view to the next nothing is lost that ever counted, whoever is lost meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from taskmesh.core.record import parse
from taskmesh.core.state import State
from taskmesh.errors import LeadershipLost, VersionConflict
from taskmesh.queue.claim import claim
from taskmesh.queue.commit import commit
from taskmesh.queue.enqueue import NewMessage, enqueue
from taskmesh.queue.workers import register
from taskmesh.replication.level import Learner, level
from taskmesh.replication.plan import Goal
from taskmesh.replication.take_over import carry_on, take_over, teach
from taskmesh.replication.view import ACTIVE, MOVING, UP
from taskmesh.ring import RingNode, propose
from tests.unit.replication.changing_mesh import ChangingMesh, Crash, run_id_of, without
from tests.unit.replication.small_mesh import PREFIX, message

INCARNATION = b"a" * 16
HOLDER = INCARNATION + b"000001"
OUTCOME = b"outcome"


class Scene:
    """A mesh with messages: some wait, some run, some are over."""

    def __init__(self, nodes: int = 3, replicas: int = 3, count: int = 60) -> None:
        self.mesh = mesh = ChangingMesh(nodes, replicas)
        self.sent: list[NewMessage] = [message(at) for at in range(count)]
        mesh.run(enqueue(mesh.session, self.sent, patience_s=0))
        self.tokens: dict[bytes, bytes] = {}
        self.done: set[bytes] = set()
        self.sequence = 0
        for node in mesh.nodes:
            mesh.run(register(mesh.session, INCARNATION, b"{}"), node)
        self.claim(each=count // 6)
        for task_id in list(self.tokens)[: count // 4]:
            self.commit(task_id)

    def claim(self, each: int) -> None:
        """Claim so many from each node."""
        for node in dict.fromkeys(row[0] for row in self.mesh.standing.view.table):
            if self.mesh.nodes[node].running:
                self.sequence += 1
                steps = claim(self.mesh.session, HOLDER, self.sequence, each, [b"default"], idle=False)
                self.tokens |= {found.task_id: found.token for found in self.mesh.run(steps, node)}

    def commit(self, task_id: bytes) -> None:
        """Commit what runs."""
        words = [task_id, self.tokens[task_id], b"K", OUTCOME]
        verdict = self.mesh.run(commit(self.mesh.session, HOLDER, b"build", [], words))
        assert verdict in (b"o", b"r"), (task_id, verdict)
        self.done.add(task_id)

    def check(self) -> None:
        """Everything that counted is there, as often as it must be, and goes on by the view that nodes obey."""
        mesh = self.mesh
        view = mesh.look()
        for each in self.sent:
            row = view.table[int(each.slot, 16)]
            copies = [copy for node in row if (copy := mesh.record(node, each.task_id)) is not None]
            assert len(copies) >= view.copies_needed(int(each.slot, 16))
            primary = mesh.record(row[0], each.task_id)
            assert primary is not None
            state = State.PENDING
            if each.task_id in self.done:
                state = State.SUCCESS
            elif each.task_id in self.tokens:
                state = State.STARTED
            assert parse(primary).state is state
            assert sum(copy == primary for copy in copies) >= view.copies_needed(int(each.slot, 16))
            if state is State.PENDING:
                assert self.lines(row[0]).count(each.task_id) == 1
        self.goes_on()

    def lines(self, node: str) -> list[bytes]:
        """Return what waits on a node, as its lines say it."""
        hints = self.mesh.nodes[node].call((b"LRANGE", PREFIX + b"q:default:4", b"0", b"-1"))
        assert isinstance(hints, list)
        return [hint[:-9] for hint in hints]

    def goes_on(self) -> None:
        """What runs can be committed, and what waits be claimed, once."""
        self.mesh.look()
        for task_id in self.tokens.keys() - self.done:
            self.commit(task_id)
        before = set(self.tokens)
        for _ in range(3):
            self.claim(each=100)
        claimed = self.tokens.keys() - before
        assert claimed | before == {each.task_id for each in self.sent}
        for task_id in claimed:
            self.commit(task_id)

    def change(self, goal: Goal, **how: Any) -> Any:
        """Have a new leader change the view."""
        return self.mesh.lead(take_over(self.mesh.mandate(), self.mesh.kept(), goal), **how)


def joined(scene: Scene, number: int) -> Goal:
    """Return the goal in which there is one node more."""
    view = scene.mesh.standing.view
    members = (*view.members, scene.mesh.add(number))
    nodes = [RingNode(member.id) for member in members]
    return Goal(
        members, tuple(propose(view.slots, nodes, view.replicas, view.table)), "a test", is_urgent=False
    )


def test_a_lost_node_is_replaced_by_those_who_have_copies() -> None:
    """Its slots are led by others, with all that counted; the register and the nodes say so."""
    scene = Scene()
    mesh = scene.mesh
    mesh.cut_off("n1")
    done = scene.change(without(mesh.standing.view, "n1"))
    view = mesh.look()
    assert (view.number, view.phase) == (2, ACTIVE)
    assert mesh.kept().view == done.kept.view == view
    assert mesh.obeyed() == {"n2": 2, "n3": 2}
    assert done.promoted > 0
    assert done.deaf == ()
    scene.check()


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_a_new_node_gets_its_share(replicas: int) -> None:
    """It leads slots with all that counted, of which it knew nothing before."""
    scene = Scene(replicas=replicas)
    goal = joined(scene, 4)
    done = scene.change(goal)
    view = scene.mesh.look()
    assert len(view.led_by("n4")) == view.slots // 4
    assert done.copied > 0
    assert scene.mesh.obeyed() == dict.fromkeys(scene.mesh.nodes, 2)
    scene.check()


def crashes(prepare: Callable[[], tuple[Scene, Goal]]) -> int:
    """Lose the leader after each of its requests; whoever comes next brings it to an end. Return how many there are."""
    crash_after = 0
    while True:
        scene, goal = prepare()
        try:
            scene.change(goal, crash_after=crash_after)
        except Crash:
            pass
        else:
            return crash_after
        mesh = scene.mesh
        begun = mesh.kept().view
        assert begun is not None
        kept = mesh.lead(carry_on(mesh.mandate(), mesh.standing.view))
        assert kept.view == mesh.look()
        assert kept.view.phase == ACTIVE
        # what was moving is replaced by the next; what was active, or not begun, stays
        assert kept.view.number == begun.number + (begun.phase == MOVING)
        assert set(mesh.obeyed().values()) == {kept.view.number}
        if kept.view.number > 1:
            assert kept.view.table == goal.table
            scene.check()
        else:
            scene.claim(each=1)
        crash_after += 1


def test_a_leader_may_be_lost_after_any_step_of_a_fail_over() -> None:
    def prepare() -> tuple[Scene, Goal]:
        scene = Scene(count=30)
        scene.mesh.cut_off("n1")
        return scene, without(scene.mesh.standing.view, "n1")

    assert crashes(prepare) > 8


def test_a_leader_may_be_lost_after_any_step_of_a_join() -> None:
    def prepare() -> tuple[Scene, Goal]:
        scene = Scene(replicas=2, count=30)
        return scene, joined(scene, 4)

    assert crashes(prepare) > 8


def test_what_counted_on_one_backup_only_is_found_there() -> None:
    """W = 2 had it, and the primary is lost: the other one has to give it to the new primary."""
    scene = Scene()
    mesh = scene.mesh
    view = mesh.standing.view
    slot = view.led_by("n1")[0]
    _, first, second = view.table[slot]
    # the new primary would be the first backup: it hears nothing of what follows
    mesh.cut_off(first)
    mine = [each for each in scene.sent if int(each.slot, 16) == slot and each.task_id in scene.tokens]
    fresh = next(message(at) for at in range(100, 9999) if int(message(at).slot, 16) == slot)
    scene.sent.append(fresh)
    assert mesh.run(enqueue(mesh.session, [fresh], patience_s=0)).accepted == [fresh.task_id.decode()]
    for each in mine:
        scene.commit(each.task_id)
    mesh.reach(first)
    mesh.cut_off("n1")
    assert mesh.record(first, fresh.task_id) is None
    goal = without(view, "n1")
    goal = replace(
        goal, table=tuple((first, second) if at == slot else row for at, row in enumerate(goal.table))
    )
    done = scene.change(goal)
    assert done.copied >= 1
    assert mesh.record(first, fresh.task_id) == mesh.record(second, fresh.task_id)
    scene.check()


def strip(scene: Scene, node: str, task_id: bytes) -> bytes:
    """Have a node drop its copy of an outcome before its time, as one does that is short of memory; return it."""
    record = scene.mesh.record(node, task_id)
    assert record is not None
    stripped = (
        record[:94] + b"0" * 8 + record[102:104] + b"0000" + record[108 : 108 + int(record[102:104], 16)]
    )
    scene.mesh.nodes[node].call((b"SET", PREFIX + b"r:" + task_id, stripped))
    return record


def test_an_outcome_that_only_one_of_them_kept_is_found_there() -> None:
    """Neither the one that goes on nor the one that is lost has it: they were short of memory for a while."""
    scene = Scene()
    mesh = scene.mesh
    view = mesh.standing.view
    done = next(
        each for each in scene.sent if each.task_id in scene.done and view.primary(int(each.slot, 16)) == "n1"
    )
    _, first, second = view.table[int(done.slot, 16)]
    whole = strip(scene, first, done.task_id)
    strip(scene, "n1", done.task_id)
    mesh.cut_off("n1")
    scene.change(without(view, "n1"))
    assert mesh.record(first, done.task_id) == mesh.record(second, done.task_id) == whole
    scene.check()


def test_an_outcome_that_only_an_unsure_one_kept_is_not_removed_there() -> None:
    """It is of the change that counted, so it is right; those that are sure have only dropped it."""
    scene = Scene()
    mesh = scene.mesh
    view = mesh.standing.view
    done = next(each for each in scene.sent if each.task_id in scene.done)
    for node in ("n2", "n3"):
        whole = strip(scene, node, done.task_id)
    mesh.nodes["n1"].restart()
    scene.change(without(view))
    assert mesh.record("n1", done.task_id) == whole


def test_it_waits_while_too_few_are_sure() -> None:
    """Two of three are out of reach; the third one goes on obeying the view, and says so. With one back it goes on."""
    scene = Scene()
    mesh = scene.mesh
    mesh.cut_off("n1")
    mesh.cut_off("n2")

    def until(step: int) -> None:
        if step == 20:
            assert mesh.obeyed() == {"n3": 1}
            assert mesh.kept().view == mesh.standing.view
            mesh.reach("n2")

    scene.change(without(mesh.standing.view, "n1"), between=until)
    assert len([note for note in mesh.notes if "has to wait" in note]) == 1
    assert "n1, n2" in mesh.notes[0]
    scene.check()


def test_who_came_back_with_an_older_disk_is_not_believed() -> None:
    """It was started anew, so it stands for nobody; when one that was not is back it goes on, and it is levelled."""
    scene = Scene()
    mesh = scene.mesh
    old = Scene().mesh.nodes["n2"].snapshot()
    mesh.nodes["n2"].restore(old)
    mesh.nodes["n2"].restart()
    mesh.cut_off("n1")

    def until(step: int) -> None:
        if step == 20:
            assert mesh.obeyed()["n3"] == 1
            mesh.reach("n1")

    scene.change(without(mesh.standing.view, "n1"), between=until)
    assert any("has to wait" in note for note in mesh.notes)
    # who is given up helped with what it has, and is told nothing more
    assert mesh.obeyed() == {"n1": 0, "n2": 2, "n3": 2}
    scene.check()


def weighed(scene: Scene) -> Goal:
    """Return the goal in which one node has another weight, and every slot stays where it is."""
    view = scene.mesh.standing.view
    first, *others = view.members
    return Goal((replace(first, weight=300), *others), view.table, "a test", is_urgent=False)


def test_what_leaves_every_slot_where_it_is_stops_nobody() -> None:
    scene = Scene()
    mesh = scene.mesh
    mesh.calls.clear()
    done = scene.change(weighed(scene))
    assert (done.copied, done.promoted, done.deaf) == (0, 0, ())
    assert {call.script.name for call in mesh.calls} == {"replication.activate"}
    assert mesh.obeyed() == dict.fromkeys(mesh.nodes, 2)
    assert mesh.look().member("n1").weight == 300
    scene.check()


@pytest.mark.parametrize("deaf", ["n1", "n2", "n3"])
def test_who_has_not_heard_of_another_weight_is_told_and_nothing_is_lost(deaf: str) -> None:
    """The leader is lost with only some told; sends and runs go on with both views about."""
    for step in range(1, 4):
        scene = Scene()
        mesh = scene.mesh
        view = mesh.standing.view
        mesh.cut_off(deaf)
        with contextlib.suppress(Crash):
            scene.change(weighed(scene), crash_after=step)
        mesh.reach(deaf)
        more = [message(at) for at in range(100, 130)]
        mesh.on_pause = lambda mesh=mesh, view=view: mesh.lead(carry_on(mesh.mandate(), view))
        accepted = mesh.run(enqueue(mesh.session, more, patience_s=5)).accepted
        assert set(accepted) == {each.task_id.decode() for each in more}
        scene.sent += more
        mesh.lead(carry_on(mesh.mandate(), view))
        assert mesh.obeyed() == dict.fromkeys(mesh.nodes, 2)
        scene.check()


def test_after_a_restart_of_all_it_goes_on_by_itself() -> None:
    """Every copy is there, though none is sure by itself: together they have all that counted."""
    scene = Scene()
    mesh = scene.mesh
    for node in mesh.nodes.values():
        node.restart()
    before = mesh.standing.view
    scene.change(without(before))
    after = mesh.look()
    assert all(after.member(m.id).run_id != m.run_id for m in before.members)
    scene.check()


def test_after_a_restart_of_all_one_may_be_empty_but_not_two() -> None:
    """Fewer than W have lost anything: nothing that counted is lost. With W of them it waits, and says who is empty."""
    scene = Scene()
    mesh = scene.mesh
    for node in mesh.nodes.values():
        node.restart()
    mesh.nodes["n1"].wipe()
    scene.change(without(mesh.standing.view, "n1"))
    scene.check()

    scene = Scene()
    mesh = scene.mesh
    for node in mesh.nodes.values():
        node.restart()
    mesh.nodes["n1"].wipe()
    mesh.nodes["n2"].wipe()

    def until(step: int) -> None:
        if step == 20:
            raise Crash

    with pytest.raises(Crash):
        scene.change(without(mesh.standing.view, "n1", "n2"), between=until)
    assert "came back empty" in mesh.notes[0]
    assert mesh.kept().view.number == 1


def test_a_node_that_falls_silent_meanwhile_is_left_out() -> None:
    """Those who are left are enough: it is begun anew with them, under the same number."""
    for step_of_loss in range(4, 40, 3):
        scene = Scene()
        mesh = scene.mesh
        goal = joined(scene, 4)
        lost = "n1"
        # a backup of the goal, wherever it leads nothing
        goal = replace(
            goal,
            table=tuple(
                (*(node for node in row if node != lost), *(node for node in row if node == lost))
                for row in goal.table
            ),
        )

        def until(step: int, at: int = step_of_loss, node: str = lost, of: ChangingMesh = mesh) -> None:
            if step == at:
                of.cut_off(node)

        done = scene.change(goal, between=until)
        assert done.kept.view.number == 2
        assert {number for node, number in mesh.obeyed().items() if node != lost} == {2}
        scene.check()


def test_a_leader_of_before_changes_nothing_more() -> None:
    """It was stopped somewhere in the middle, while another one brought it to an end; what it sends then is refused."""
    for stopped_at in range(3, 12):
        scene = Scene(count=30)
        mesh = scene.mesh
        mesh.cut_off("n1")
        old, kept = mesh.mandate(), mesh.kept()
        values: dict[str, Any] = {}

        def until(
            step: int, at: int = stopped_at, of: ChangingMesh = mesh, into: dict[str, Any] = values
        ) -> None:
            if step == at and not into:
                of.lead(carry_on(of.mandate(), of.standing.view))
                into.update(of.everything())

        with pytest.raises((LeadershipLost, VersionConflict)):
            mesh.lead(take_over(old, kept, without(mesh.standing.view, "n1")), between=until)
        assert mesh.everything() == values
        scene.check()


def test_a_view_that_somebody_else_has_changed_is_left_alone() -> None:
    """Who has read an older one decides anew."""
    scene = Scene()
    mesh = scene.mesh
    kept = mesh.kept()
    mesh.cut_off("n1")
    scene.change(without(mesh.standing.view, "n1"))
    with pytest.raises(VersionConflict):
        mesh.lead(take_over(mesh.mandate(), kept, without(mesh.standing.view, "n2")))
    assert mesh.obeyed() == {"n2": 2, "n3": 2}


def test_what_only_an_unsure_one_has_goes() -> None:
    """A record that never counted, on a node that was away, and a change that never did: no index is made of them."""
    scene = Scene()
    mesh = scene.mesh
    waiting = next(each for each in scene.sent if each.task_id not in scene.tokens)
    newer = b"1P" + b"00010009" + waiting.record[10:]
    mesh.nodes["n1"].call((b"SET", PREFIX + b"r:" + waiting.task_id, newer))
    ghost = message(5000)
    slot = int(ghost.slot, 16)
    node = mesh.nodes["n1"]
    node.call((b"SET", PREFIX + b"r:" + ghost.task_id, ghost.record))
    node.call((b"SADD", PREFIX + b"L:" + ghost.slot, ghost.task_id))
    node.restart()
    goal = without(mesh.standing.view)
    others = tuple(each for each in ("n2", "n3"))
    goal = replace(
        goal, table=tuple(("n1", *others) if at == slot else row for at, row in enumerate(goal.table))
    )
    scene.change(goal)
    assert mesh.record("n1", ghost.task_id) is None
    scene.check()


def test_a_learner_is_copied_while_the_old_view_works() -> None:
    """So that next to nothing is left to be copied when the nodes wait; what is sent meanwhile comes then."""
    scene = Scene(replicas=2)
    mesh = scene.mesh
    view = mesh.standing.view
    goal = joined(scene, 4)
    new = goal.members[-1]
    mandate = mesh.mandate()
    assert mesh.lead(teach(mandate, view, new)) is True
    assert mesh.obeyed() == {"n1": 1, "n2": 1, "n3": 1, "n4": 1}
    slots = [slot for slot, row in enumerate(goal.table) if "n4" in row]
    levelled = mesh.converse(level(mesh.standing, slots, learner=Learner("n4", view.epoch)))
    assert sorted(levelled.compared) == slots
    assert levelled.copied > 0
    late = [message(at) for at in range(3000, 3010)]
    mesh.run(enqueue(mesh.session, late, patience_s=0))
    scene.sent += late
    done = scene.change(goal)
    expected = [each for each in late if int(each.slot, 16) in slots]
    assert done.copied == len(expected) > 0
    scene.check()


def test_only_who_is_meant_learns() -> None:
    """A node that is another member already, or is silent, is left alone."""
    mesh = Scene(count=6).mesh
    view = mesh.standing.view
    other = replace(view.members[0], id="n9", instance="e" * 16)
    mesh.nodes["n9"] = mesh.nodes["n1"]
    assert mesh.lead(teach(mesh.mandate(), view, other)) is False
    mesh.cut_off("n9")
    assert mesh.lead(teach(mesh.mandate(), view, other)) is False
    mesh.reach("n9")
    assert mesh.nodes["n1"].call((b"HGET", PREFIX + b"me", b"id")) == b"n1"


def test_an_emptied_member_is_another_instance_afterwards() -> None:
    """Its id stays its own; what it knew is lost, and it is given its copies anew."""
    scene = Scene()
    mesh = scene.mesh
    mesh.nodes["n1"].wipe()
    mesh.nodes["n1"].restart()
    view = mesh.standing.view
    scene.change(without(view, "n1"))
    view = mesh.look()
    members = tuple(
        replace(member, state="up", instance="d" * 16, run_id=run_id_of(mesh.nodes["n1"]))
        if member.id == "n1"
        else member
        for member in view.members
    )
    nodes = [RingNode(member.id) for member in members]
    table = tuple(propose(view.slots, nodes, 3, view.table))
    done = scene.change(Goal(members, table, "a test", is_urgent=False))
    assert done.kept.view.number == 3
    assert mesh.obeyed() == {"n1": 3, "n2": 3, "n3": 3}
    assert mesh.nodes["n1"].call((b"HGET", PREFIX + b"me", b"instance")) == b"d" * 16
    mesh.converse(level(mesh.standing, range(view.slots)))
    scene.check()


def test_who_forgets_meanwhile_what_it_was_given_is_given_it_again() -> None:
    """A new node's server is started anew, with its disk as it was before anything was copied to it."""
    for lost_at in range(4, 14):
        scene = Scene(replicas=2, count=30)
        mesh = scene.mesh
        goal = joined(scene, 4)
        disks: list[Any] = []

        def until(step: int, at: int = lost_at, of: ChangingMesh = mesh, kept: list[Any] = disks) -> None:
            if step == 3:
                kept.append(of.nodes["n4"].snapshot())
            elif step == at:
                of.nodes["n4"].restore(kept[0])
                of.nodes["n4"].restart()

        scene.change(goal, between=until)
        assert mesh.look().member("n4").run_id == run_id_of(mesh.nodes["n4"])
        scene.check()


def test_what_ended_long_ago_is_not_begun_again_by_an_older_copy() -> None:
    """A backup missed the end, hours pass, and it becomes the primary: what the other one has is the newer copy."""
    scene = Scene()
    mesh = scene.mesh
    view = mesh.standing.view
    running = next(each for each in scene.sent if each.task_id in scene.tokens.keys() - scene.done)
    slot = int(running.slot, 16)
    primary, first, second = view.table[slot]
    mesh.cut_off(first)
    scene.commit(running.task_id)
    mesh.reach(first)
    mesh.now_ms += 5 * 3_600_000
    mesh.cut_off(primary)
    goal = without(view, primary)
    goal = replace(
        goal, table=tuple((first, second) if at == slot else row for at, row in enumerate(goal.table))
    )
    scene.change(goal)
    found = mesh.record(first, running.task_id)
    assert found is not None
    assert parse(found).state is State.SUCCESS


def test_a_child_counts_as_idle_though_its_claims_were_over_elsewhere() -> None:
    """Its node was away while another led its slots: nobody says here that the claims are done with, but it is idle."""
    scene = Scene()
    mesh = scene.mesh
    view = mesh.standing.view
    mesh.cut_off("n1")
    scene.change(without(view, "n1"))
    mesh.look()
    for task_id in scene.tokens.keys() - scene.done:
        scene.commit(task_id)
    mesh.reach("n1")
    back = tuple(replace(member, state="up") for member in mesh.standing.view.members)
    scene.change(Goal(back, view.table, "a test", is_urgent=False))
    mesh.look()
    for _ in range(2):
        scene.claim(each=100)
        for task_id in scene.tokens.keys() - scene.done:
            scene.commit(task_id)
    # what is done with is told with the next claim, which finds nothing
    running = PREFIX + b"run:" + HOLDER
    for node in mesh.nodes:
        sequences = [str(field) for field in mesh.nodes[node].call((b"HKEYS", running))]  # type: ignore[union-attr]
        assert sequences == [], node


def test_a_promotion_that_came_to_nothing_is_not_taken_for_what_was_before() -> None:
    """Another leader goes back to the table of before: who leads by it again lost its lines to the other."""
    for step in range(200):
        scene = Scene(count=18)
        mesh = scene.mesh
        view = mesh.standing.view
        turned = tuple((*row[1:], row[0]) for row in view.table)
        other = Goal(view.members, turned, "a test", is_urgent=True)
        try:
            scene.change(other, crash_after=step)
        except Crash:
            scene.change(Goal(view.members, view.table, "a test", is_urgent=True))
            scene.check()
        else:
            break
    assert 5 < step < 199


def test_lines_hold_what_their_node_leads_once_however_often_slots_come_and_go() -> None:
    """Each node in turn is done without, and comes back, started anew: its lines are still those of before."""
    scene = Scene()
    mesh = scene.mesh
    table = mesh.standing.view.table

    def stand_as_led() -> None:
        view = mesh.look()
        waiting = [each for each in scene.sent if each.task_id not in scene.tokens]
        for node in mesh.nodes:
            led = [each.task_id for each in waiting if view.primary(int(each.slot, 16)) == node]
            if mesh.nodes[node].running:
                assert sorted(scene.lines(node)) == sorted(led)

    for node in ("n2", "n3", "n1"):
        mesh.cut_off(node)
        scene.change(without(mesh.standing.view, node))
        stand_as_led()
        mesh.reach(node)
        mesh.nodes[node].restart()
        members = tuple(
            replace(member, state=UP, run_id=run_id_of(mesh.nodes[member.id]))
            for member in mesh.look().members
        )
        scene.change(Goal(members, table, "a test", is_urgent=True))
        stand_as_led()
    scene.check()


def test_who_is_back_and_leads_nothing_yet_counts_nothing() -> None:
    scene = Scene()
    mesh = scene.mesh
    mesh.cut_off("n1")
    scene.change(without(mesh.standing.view, "n1"))
    assert scene.lines("n2")
    mesh.reach("n1")
    members = tuple(replace(member, state=UP) for member in mesh.look().members)
    table = tuple((*row, "n1") for row in mesh.look().table)
    scene.change(Goal(members, table, "a test", is_urgent=True))
    assert scene.lines("n1") == []
    scene.check()
