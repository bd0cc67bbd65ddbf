"""A look at several nodes of which some do not answer: what the others say, and who is missing from it."""

from __future__ import annotations

import pytest

from taskmesh.core.steps import NodeError, Steps
from taskmesh.errors import NodeUnavailable
from taskmesh.queue.dead import dead_letters
from taskmesh.queue.enqueue import enqueue
from taskmesh.queue.inspect import scheduled
from taskmesh.queue.manage import peek, status
from taskmesh.replication.away import Away, is_missing
from taskmesh.replication.spread import spread
from tests.unit.replication.small_mesh import NOW_MS, SmallMesh, make_view, message

COUNT = 40


@pytest.fixture
def mesh() -> SmallMesh:
    """Return a mesh of three nodes and one copy of each message, of which a third is due later."""
    made = SmallMesh(make_view(replicas=1))
    messages = [message(at, due_ms=b"%d" % (NOW_MS + 60_000) if at % 3 == 0 else b"") for at in range(COUNT)]
    made.run(enqueue(made.session, messages, patience_s=0))
    return made


def look(mesh: SmallMesh, steps: Steps, away: Away):
    return mesh.converse(spread(steps, mesh.standing, away=away))


@pytest.mark.parametrize("down", [("n2",), ("n1", "n3")])
def test_what_is_told_is_what_those_that_answer_have(mesh, down):
    each = {node: mesh.run(status(mesh.session), node) for node in mesh.nodes}
    for node in down:
        mesh.nodes[node].running = False
    left = [told for node, told in each.items() if node not in down]
    away = Away()
    told = look(mesh, status(mesh.session), away)
    assert told.queues["default"] == sum(one.queues["default"] for one in left) > 0
    assert told.delayed == sum(one.delayed for one in left) > 0
    assert set(away.why) == set(down)
    assert all("is down" in why for why in away.why.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda session: dead_letters(session, 10),
        lambda session: scheduled(session, 100),
        lambda session: peek(session, "default", 100),
    ],
    ids=["dead", "scheduled", "peek"],
)
def test_lists_are_those_of_the_nodes_that_answer(mesh, make):
    whole = look(mesh, make(mesh.session), Away())
    mesh.nodes["n1"].running = False
    away = Away()
    part = look(mesh, make(mesh.session), away)
    assert set(away.why) == {"n1"}
    assert len(part) <= len(whole)
    with pytest.raises(NodeUnavailable):
        mesh.run(make(mesh.session))


def test_who_did_not_answer_is_not_asked_again_by_the_same_look(mesh):
    mesh.nodes["n3"].running = False
    away = Away()
    look(mesh, status(mesh.session), away)
    mesh.calls.clear()
    look(mesh, status(mesh.session), away)
    assert {call.node for call in mesh.calls} == {"n1", "n2"}


def test_who_does_not_tell_his_view_is_not_asked_again_by_the_same_look(mesh):
    """Whoever is asked for a newer view, since another is silent, may be silent as well, and was not asked before."""
    mesh.nodes["n1"].running = mesh.nodes["n3"].running = False
    away = Away()
    with pytest.raises(NodeUnavailable):
        mesh.converse(spread(peek(mesh.session, "default", 1), mesh.standing, "n1", away=away))
    assert set(away.why) == {"n3"}
    mesh.calls.clear()
    with pytest.raises(NodeUnavailable):
        mesh.converse(spread(peek(mesh.session, "default", 1), mesh.standing, "n1", away=away))
    assert not [call for call in mesh.calls if "n3" in call.node]


def test_where_nobody_answers_nothing_is_told(mesh):
    for node in mesh.nodes.values():
        node.running = False
    away = Away()
    with pytest.raises(NodeUnavailable):
        look(mesh, status(mesh.session), away)
    assert away.why == {}


def test_without_a_look_all_must_answer(mesh):
    mesh.nodes["n2"].running = False
    with pytest.raises(NodeUnavailable):
        mesh.run(status(mesh.session))


def test_a_server_that_recovers_is_missing_and_one_that_refuses_is_not():
    assert is_missing(NodeError("LOADING Valkey is loading the dataset in memory"))
    assert not is_missing(NodeError("WRONGTYPE Operation against a key"))
