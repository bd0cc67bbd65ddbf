"""How many records a node has."""

from __future__ import annotations

import pytest

from taskmesh.queue.claim import claim
from taskmesh.queue.commit import commit
from taskmesh.queue.enqueue import enqueue
from taskmesh.queue.workers import register
from taskmesh.replication import holding
from taskmesh.replication.holding import read_holding
from tests.unit.replication.small_mesh import SmallMesh, make_view, message

INCARNATION = b"a" * 16
HOLDER = INCARNATION + b"000001"


@pytest.mark.parametrize("at_once", [2048, 5])
def test_each_copy_is_counted_where_it_is(monkeypatch, at_once):
    monkeypatch.setattr(holding, "SLOTS_AT_ONCE", at_once)
    mesh = SmallMesh(make_view(replicas=2))
    view = mesh.standing.view
    mesh.run(enqueue(mesh.session, [message(at) for at in range(40)], patience_s=0))
    mesh.run(register(mesh.session, INCARNATION, b"{}"), "n1")
    done = mesh.run(claim(mesh.session, HOLDER, 1, 5, [b"default"], idle=False), "n1")
    for each in done:
        outcome = [each.task_id, each.token, b"K", b"x"]
        mesh.run(commit(mesh.session, HOLDER, b"build", [], outcome, patience_s=0))
    found = {node: mesh.run(read_holding(mesh.session, view.held_by(node)), node) for node in view.nodes}
    assert sum(each.live for each in found.values()) == 2 * (40 - len(done))
    assert sum(each.final for each in found.values()) == 2 * len(done) > 0
    led = sum(mesh.run(read_holding(mesh.session, view.led_by(node)), node).live for node in view.nodes)
    assert led == 40 - len(done)
