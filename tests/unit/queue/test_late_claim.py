"""A node that forgot a child for a while, and hears then what it was asked before that."""

from __future__ import annotations

import pytest

from taskmesh.queue.claim import claim, held
from taskmesh.queue.commit import NO_EPOCH, REFUSED, commit
from taskmesh.queue.enqueue import enqueue
from taskmesh.queue.workers import bury, declare_dead, reap, register
from taskmesh.worker.outbox import Outbox
from tests.unit.replication.small_mesh import SmallMesh, make_view, message

INCARNATION = b"a" * 16
HOLDER = INCARNATION + b"000001"


@pytest.mark.parametrize("together", [True, False], ids=["by-one-call", "by-two-calls"])
def test_what_a_late_claim_took_stays_held(together: bool) -> None:
    """The child was taken for dead, and its claim comes once more: it does not know of what that took.

    If it lets go of the claim of that sequence, which it knows by a refusal to be over, nobody would have the message.
    """
    mesh = SmallMesh(make_view(nodes=1, replicas=1))
    mesh.run(enqueue(mesh.session, [message(0)], patience_s=0))
    mesh.run(register(mesh.session, INCARNATION, b"{}"), "n1")
    asked = lambda: claim(mesh.session, HOLDER, 1, 1, [b"default"], idle=False)  # noqa: E731 - twice
    (first,) = mesh.run(asked(), "n1")
    mesh.run(declare_dead(mesh.session, INCARNATION, 1), "n1")
    mesh.run(reap(mesh.session, HOLDER, b"b" * 16, [b"default"]), "n1")
    mesh.run(bury(mesh.session, INCARNATION), "n1")
    mesh.run(register(mesh.session, INCARNATION, b"{}"), "n1")
    (second,) = mesh.run(asked(), "n1")
    assert second.task_id == first.task_id
    assert second.token != first.token
    entries = [first.task_id, first.token, b"K", b"outcome"]
    if together:
        done = [(1, first.epoch)]
        verdicts = mesh.run(commit(mesh.session, HOLDER, b"build", done, entries, patience_s=0), "n1")
    else:
        verdicts = mesh.run(commit(mesh.session, HOLDER, b"build", [], entries, patience_s=0), "n1")
        mesh.run(commit(mesh.session, HOLDER, b"build", [(1, NO_EPOCH)], [], patience_s=0), "n1")
    assert list(verdicts) == [REFUSED]
    found = mesh.run(held(mesh.session, HOLDER), "n1")
    assert [each[2].encode() for each in found] == [first.task_id]


def test_after_a_refusal_claims_are_let_go_of_with_care() -> None:
    box = Outbox(lambda entries, done: None)
    box.close_claim(1, b"f1")
    box.has_lost = True
    box.close_claim(2, b"f1")
    assert box.take() == ([], [(1, b"f1"), (2, NO_EPOCH)])
    box.close()
