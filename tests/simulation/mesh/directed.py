"""Schedules in which one rule matters, told step by step: for what takes random search too much luck.

Each raises `AssertionError` when the rule is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from taskmesh.core.record import parse
from taskmesh.core.script import Script
from taskmesh.core.state import FINAL
from taskmesh.core.steps import Call, Reply, Round, Steps, all_answered
from taskmesh.errors import NodeUnavailable
from taskmesh.queue.claim import Claimed, claim
from taskmesh.queue.commit import DONE, REPEATED, commit
from taskmesh.queue.enqueue import enqueue, message_keys
from taskmesh.queue.workers import beat, register
from taskmesh.replication import level as levelling
from taskmesh.replication.pieces import APPLY
from taskmesh.replication.plan import Goal
from taskmesh.replication.scripts import PROMOTE_ANEW, PROMOTE_KEYS, PROMOTE_LINES
from taskmesh.replication.spread import Spread
from taskmesh.replication.take_over import take_over
from tests.unit.replication.changing_mesh import ChangingMesh, Crash, without
from tests.unit.replication.small_mesh import NOW_MS, PREFIX, message

#: So many requests of a leader that waits are enough to see that it waits.
WAITS = 40
HOLDER = b"a" * 16 + b"000001"
#: So many beats remove all that is due.
BEATS = 6
HOURS_MS = 3 * 3_600_000


class _Mesh(ChangingMesh):
    """A mesh with other scripts in place of some, and a worker."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        super().__init__()
        self.scripts = scripts

    def _answer(self, call: Call) -> Reply:
        script = call.script
        if script is not None and script.name in self.scripts:
            call = Call(self.scripts[script.name], call.prefix, call.args, call.patience_s, call.node)
        return super()._answer(call)

    def arrive(self, calls: Iterable[Call]) -> None:
        """Have some calls arrive whose replies nobody waits for."""
        for call in calls:
            self._answer(call)

    def steps_of(self, node: str, asked: int) -> dict[str, list[Call]]:
        """Return which scripts a node was asked to run, but for those of the first calls, each with its calls."""
        steps: dict[str, list[Call]] = {}
        for call in self.calls[asked:]:
            if call.node == node and call.script is not None:
                steps.setdefault(call.script.name, []).append(call)
        return steps

    def claimed(self) -> Claimed:
        """Send a message, and have the worker claim it."""
        sent = message(0)
        assert sent.task_id.decode() in self.run(enqueue(self.session, [sent], patience_s=0)).accepted
        primary = self.standing.view.primary(int(sent.slot, 16))
        self.run(register(self.session, HOLDER[:16], b"{}"), primary)
        (found,) = self.run(claim(self.session, HOLDER, 1, 1, [b"default"], idle=False), primary)
        assert isinstance(found, Claimed)
        return found

    def end(self, claimed: Claimed) -> Steps[bytes]:
        """Commit a success."""
        entries = [claimed.task_id, claimed.token, b"K", b"outcome"]
        return commit(self.session, HOLDER, b"build", [], entries, patience_s=0)

    def level(self) -> None:
        """Do what a leader does from time to time."""
        standing = self.standing
        found = self.converse(levelling.level(standing, range(standing.view.slots)))
        if not found.missed:
            self.converse(levelling.mark_level(standing, standing.view, self.now_ms))

    def sweep(self, node: str) -> None:
        """Have a node remove what is due: each beat of a worker removes some."""
        if self.nodes[node].running:
            self.run(register(self.session, HOLDER[:16], b"{}"), node)
            for _ in range(BEATS):
                self.run(beat(self.session, HOLDER[:16]), node)


def _apply(mesh: ChangingMesh, node: str, *words: bytes) -> Spread[list[Reply]]:
    """Bring a node of the newest view a copy."""
    front = mesh.standing.view.epoch, b"%d" % mesh.now_ms
    return (yield Round([Call(APPLY, PREFIX, (*front, *words), node=node)], all_answered))


def who_is_fenced_takes_nothing_of_the_view_before(scripts: Mapping[str, Script]) -> None:
    """A change that is late must not make up the number that counts, where what counted was read already."""
    mesh = ChangingMesh()
    view, sent = mesh.standing.view, message(0)
    primary, _, other = view.table[int(sent.slot, 16)]
    mesh.cut_off(other)
    assert sent.task_id.decode() in mesh.run(enqueue(mesh.session, [sent], patience_s=0)).accepted
    mesh.cut_off(primary)
    mesh.reach(other)
    mesh.lead(take_over(mesh.mandate(), mesh.kept(), without(view, primary)))
    before = mesh.nodes[other].values[PREFIX + b"r:" + sent.task_id]
    apply = scripts.get(APPLY.name, APPLY)
    late = before[:2] + b"z" * 8 + before[10:]
    args = (view.epoch, b"%d" % NOW_MS, b"w", sent.task_id, late, b"")
    mesh.nodes[other].eval(apply.source, [PREFIX], list(args))
    assert mesh.nodes[other].values[PREFIX + b"r:" + sent.task_id] == before, (
        "it took a change of the view before"
    )


def who_may_have_forgotten_is_not_sure(_scripts: Mapping[str, Script]) -> None:
    """A message counts by two of three copies; one of these comes back with an older disk, and the other is away.

    The third never had it, so nobody who is left knows of it: a view change must wait for the one who is away.
    """
    mesh = ChangingMesh()
    view, sent = mesh.standing.view, message(0)
    primary, backup, other = view.table[int(sent.slot, 16)]
    disk = mesh.nodes[backup].snapshot()
    mesh.cut_off(other)
    assert sent.task_id.decode() in mesh.run(enqueue(mesh.session, [sent], patience_s=0)).accepted
    mesh.reach(other)
    mesh.nodes[backup].crash()
    mesh.nodes[backup].restore(disk)
    mesh.nodes[backup].restart()
    mesh.cut_off(primary)
    try:
        mesh.lead(take_over(mesh.mandate(), mesh.kept(), without(view, primary)), crash_after=WAITS)
    except Crash:
        mesh.reach(primary)
        everybody = Goal(view.members, view.table, "who was away is back", is_urgent=True)
        mesh.lead(take_over(mesh.mandate(), mesh.kept(), everybody))
    leads = mesh.look().primary(int(sent.slot, 16))
    assert mesh.record(leads, sent.task_id) is not None, "what counted is lost"


def what_a_copy_contradicts_is_remembered(scripts: Mapping[str, Script]) -> None:
    """A message ends while a backup is away, and nobody leads who would leave it out. Hours later its primary is lost.

    On the backup it still waits: had they forgotten it who know that it has ended, it would be run once more.
    """
    mesh = _Mesh(scripts)
    claimed = mesh.claimed()
    slot = int(message(0).slot, 16)
    primary, _, other = mesh.standing.view.table[slot]
    mesh.cut_off(other)
    assert mesh.run(mesh.end(claimed)) == bytes([DONE])
    for _ in range(3):
        mesh.now_ms += HOURS_MS
        mesh.level()
        for node in mesh.nodes:
            mesh.sweep(node)
    mesh.reach(other)
    mesh.cut_off(primary)
    mesh.lead(take_over(mesh.mandate(), mesh.kept(), without(mesh.standing.view, primary)))
    found = mesh.record(mesh.look().primary(slot), claimed.task_id)
    assert found is None or parse(found).state in FINAL, "what was forgotten is there again, and is to be run"


def what_is_late_by_hours_does_not_come_back(scripts: Mapping[str, Script]) -> None:
    """A copy of how a message ended arrives where that was forgotten in its time: it would stay, and be no one's."""
    mesh = _Mesh(scripts)
    claimed = mesh.claimed()
    assert mesh.run(mesh.end(claimed)) == bytes([DONE])
    *_, backup = mesh.standing.view.table[int(message(0).slot, 16)]
    record = mesh.record(backup, claimed.task_id)
    assert record is not None
    mesh.now_ms += HOURS_MS
    mesh.level()
    for node in mesh.nodes:
        mesh.sweep(node)
    assert mesh.versions(claimed.task_id) == {}
    (reply,) = mesh.converse(_apply(mesh, backup, b"w", claimed.task_id, record, b""))
    assert reply == b"o"
    assert mesh.versions(claimed.task_id) == {}, "what was forgotten is there again"


def who_commits_again_after_a_change_has_the_caller_told(scripts: Mapping[str, Script]) -> None:
    """An outcome is recorded, and the view changes before enough copies have it: its caller was told nothing.

    The next view has it, for the primary goes on. The worker is told so when it commits again; so must the caller be.
    """
    mesh = _Mesh(scripts)
    claimed = mesh.claimed()
    view = mesh.standing.view
    heard: list[bytes] = []
    for node in mesh.nodes.values():
        node.subscribe(PREFIX + b"n:" + b"c" * 16, lambda _channel, notice: heard.append(notice))
    others = view.backups(int(message(0).slot, 16))
    for other in others:
        mesh.cut_off(other)
    try:
        mesh.run(mesh.end(claimed))
        raise AssertionError("one copy was enough")
    except NodeUnavailable:
        assert not heard
    for other in others:
        mesh.reach(other)
    again = Goal(view.members, view.table, "they are back", is_urgent=True)
    mesh.lead(take_over(mesh.mandate(), mesh.kept(), again))
    mesh.look()
    assert mesh.run(mesh.end(claimed)) == bytes([REPEATED])
    assert b"outcome" in b"".join(heard), "nobody tells the caller"


def what_clears_the_way_comes_again_when_the_lines_stand(scripts: Mapping[str, Script]) -> None:
    """A primary is started anew. Each step that clears the way of its promotion is repeated for want of an answer.

    The first ones arrive when what they make room for stands, just before the view is in force.
    """
    mesh = _Mesh(scripts)
    view, key = mesh.standing.view, message_keys(unique=b"ab" * 16)
    primary = view.table[0][0]
    some = [message(at, keys=key) for at in range(view.slots)]
    sent, other, *_ = [each for each in some if view.primary(int(each.slot, 16)) == primary]
    assert sent.task_id.decode() in mesh.run(enqueue(mesh.session, [sent], patience_s=0)).accepted
    mesh.nodes[primary].restart()
    asked = len(mesh.calls)
    late: list[str] = []

    def repeat(_step: int) -> None:
        steps = mesh.steps_of(primary, asked)
        if PROMOTE_LINES.name in steps and not late:
            late.extend((PROMOTE_ANEW.name, PROMOTE_KEYS.name))
            for name in late:
                mesh.arrive(steps[name])

    anew = Goal(view.members, view.table, "one was started anew", is_urgent=True)
    mesh.lead(take_over(mesh.mandate(), mesh.kept(), anew), between=repeat)
    assert late
    mesh.look()
    mesh.run(register(mesh.session, HOLDER[:16], b"{}"), primary)
    claimed = mesh.run(claim(mesh.session, HOLDER, 2, 1, [b"default"], idle=False), primary)
    assert [each.task_id for each in claimed] == [sent.task_id], "what is ready stands in no line"
    stands_for = mesh.run(enqueue(mesh.session, [other], patience_s=0)).duplicates
    assert stands_for == {other.task_id.decode(): sent.task_id.decode()}, "its key is free"
