"""A protocol that was begun while a mesh had one node goes on when that is one of several."""

from __future__ import annotations

import pytest

from taskmesh.core.steps import Call, NoAnswer, NodeError, Pause
from taskmesh.queue.claim import claim
from taskmesh.queue.commit import COMMIT, commit_args
from taskmesh.queue.enqueue import enqueue
from taskmesh.queue.workers import register
from taskmesh.replication.home import at_home
from taskmesh.replication.outgrown import is_of_several, resumed, tells_of_several, unheard
from taskmesh.replication.routed import Pinned
from taskmesh.replication.view import LOST, View
from tests.unit.replication.small_mesh import PREFIX, SmallMesh, make_view, message

STALE = NodeError("STALEVIEW f00000000001")
HOLDER = b"a" * 16 + b"000001"


def asks(*words: bytes) -> list[Call]:
    return [Call(None, PREFIX, (word,)) for word in words]


def words(request) -> list[bytes]:
    return [call.args[0] for call in request]


def protocol(heard: list):
    heard.append((yield asks(b"1", b"2", b"3")))
    heard.append((yield Pause(0.5)))
    heard.append((yield asks(b"4")))
    return "end"


@pytest.mark.parametrize("epoch", ["f00000000001", "x00000000001"])
def test_a_node_that_is_one_of_several_is_known_by_its_refusal(epoch):
    assert is_of_several(NodeError(f"STALEVIEW {epoch}"))
    assert tells_of_several([b"f", NodeError(f"STALEVIEW {epoch}")])


@pytest.mark.parametrize("reply", [NodeError("STALEVIEW 000000020001"), NodeError("OOM"), b"f", None, [b"f"]])
def test_another_reply_says_nothing_of_it(reply):
    assert not tells_of_several([reply])


def test_only_what_was_refused_is_asked_again():
    heard: list = []
    steps = protocol(heard)
    first = next(steps)
    on = resumed(steps, first, [b"one", STALE, NoAnswer("lost")])
    assert words(next(on)) == [b"2"]
    assert on.send([b"two"]) == Pause(0.5)
    assert heard == [[b"one", b"two", NoAnswer("lost")]]
    assert words(on.send([])) == [b"4"]
    with pytest.raises(StopIteration, match="end"):
        on.send([b"four"])


def test_what_was_not_asked_yet_is_asked_whole():
    steps = protocol([])
    assert words(next(resumed(steps, next(steps)))) == [b"1", b"2", b"3"]


def test_a_protocol_that_paused_goes_on_with_that():
    heard: list = []
    steps = protocol(heard)
    next(steps)
    on = resumed(steps, steps.send([b"1", b"2", b"3"]))
    assert next(on) == Pause(0.5)
    assert words(on.send([])) == [b"4"]


def test_who_cannot_find_out_about_the_others_hears_no_answer():
    assert unheard([b"one", STALE], "why") == [b"one", NoAnswer("why")]


# -- calls about a node's own things ------------------------------------------------


@pytest.fixture
def mesh() -> SmallMesh:
    made = SmallMesh(make_view())
    for node in made.nodes:
        made.run(register(made.session, HOLDER[:16], b""), node)
    return made


def test_a_claim_that_names_no_node_is_refused_unless_the_process_has_a_home(mesh):
    mesh.run(enqueue(mesh.session, [message(at) for at in range(20)]))
    with pytest.raises(Pinned):
        mesh.run(claim(mesh.session, HOLDER, 1, 20, [b"default"], idle=False))
    mesh.standing.home = "n2"
    found = mesh.run(claim(mesh.session, HOLDER, 1, 20, [b"default"], idle=False))
    assert found
    assert {mesh.standing.view.primary(int(each.record[52:56], 16)) for each in found} == {"n2"}


def committing(view: View, home: str, done: list[tuple[int, bytes]], *ids: bytes):
    entries = [word for each in ids for word in (each, b"t" * 50, b"s", b"outcome")]
    args = (b"f00000000001", b"1", *commit_args(HOLDER, b"build", done, entries, 60))
    return at_home(Call(COMMIT, PREFIX, args), view, args[2:], home)


def test_outcomes_go_to_their_messages_and_claims_end_at_home():
    view = make_view()
    ids = [message(at).task_id for at in range(30)]
    routed = committing(view, "n2", [(5, b"000000010001")], *ids)
    *outcomes, (home, closing) = routed.calls
    assert {node for node, _ in outcomes} == {"n1", "n2", "n3"}
    assert [args[3] for _, args in outcomes] == [b"0"] * 3
    assert (home, closing[3:]) == ("n2", (b"1", b"00000005", b"000000010001"))
    letters = routed.merge([*(b"d" * ((len(args) - 4) // 4) for _, args in outcomes), b""])
    assert letters == b"d" * 30
    assert routed.merge([b"d", b"d", b"d", NoAnswer("lost")]) == NoAnswer("lost")


def test_nothing_is_asked_of_a_home_that_has_left():
    gone = make_view()
    table = tuple(tuple(node for node in row if node != "n2") for row in gone.table)
    members = tuple(
        each if each.id != "n2" else type(each)(each.id, each.address, each.instance, each.run_id, state=LOST)
        for each in gone.members
    )
    view = View(2, "active", gone.slots, gone.replicas, members, table)
    routed = committing(view, "n2", [(5, b"000000010001")], message(1).task_id)
    assert [args[3] for _, args in routed.calls] == [b"0"]
    routed = at_home(Call(None, PREFIX, (b"BLPOP", b"wake")), view, (b"BLPOP", b"wake"), "n2")
    assert routed.calls == []
    assert "has left the mesh" in routed.merge([]).reason
