"""Schedules in which one rule matters, told step by step: for what takes random search too much luck.

Each raises `AssertionError` when the rule is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from taskmesh.core.script import Script
from taskmesh.queue.enqueue import enqueue
from taskmesh.replication.pieces import APPLY
from taskmesh.replication.plan import Goal
from taskmesh.replication.take_over import take_over
from tests.unit.replication.changing_mesh import ChangingMesh, Crash, without
from tests.unit.replication.small_mesh import NOW_MS, PREFIX, message

#: So many requests of a leader that waits are enough to see that it waits.
WAITS = 40


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
