"""A worker among others on several nodes: alive on each, and dead on none as long as it beats."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskmesh.core import keys
from taskmesh.core.claim_names import claim_name
from taskmesh.queue.workers import Serves, declare_dead
from taskmesh.replication.ask import plain
from taskmesh.worker.mesh_presence import MeshPresence
from taskmesh.worker.page import Note
from taskmesh.worker.presence import DeclaredDead
from tests.integration.several.apart import Apart
from tests.support import wait_until


def note(what: str) -> str:
    return what


@pytest.fixture(autouse=True)
def patient(monkeypatch) -> None:
    """Have it wait for a node longer than a busy machine may let one stand still."""
    monkeypatch.setattr("taskmesh.worker.mesh_presence.MOMENT_S", 5.0)


@pytest.fixture
def apart(make_nodes) -> Iterator[Apart]:
    nodes = make_nodes(2)
    made = Apart(nodes.urls, "s" * 40)
    made.nodes = nodes
    for mesh in (made.mesh, *made.meshes):
        mesh.task(name="note")(note)
    yield made
    made.close()


@pytest.fixture
def presence(apart) -> MeshPresence:
    made = MeshPresence(apart.link, "w", Serves("build"), lease_ttl_s=10, max_crashes=3, dead_expires_s=100)
    made.register(b"{}")
    apart.incarnation = made.incarnation.decode()
    return made


def ask(apart, at, *words):
    link = apart.meshes[at].link
    return link.run(plain(link.session, *words))


def count(apart, at, presence):
    return int(ask(apart, at, b"HGET", keys.worker(apart.link.prefix, presence.incarnation), b"beat"))


def declare(apart, at, presence):
    link = apart.meshes[at].link
    assert link.run(declare_dead(link.session, presence.incarnation, count(apart, at, presence)))


def waiting(apart, at):
    line = apart.link.prefix + b"q:default:%d"
    return sum(ask(apart, at, b"LLEN", line % priority) for priority in range(10))


def test_it_beats_on_each(apart, presence):
    before = [count(apart, at, presence) for at in range(2)]
    presence.beat(())
    assert [count(apart, at, presence) - before[at] for at in range(2)] == [1, 1]


def test_a_node_that_stands_still_stops_no_beat_on_the_others(apart, presence):
    apart.nodes.stop(0)
    before = count(apart, 1, presence)
    presence.beat(())
    presence.beat(())
    assert count(apart, 1, presence) - before == 2
    assert [node for node, _, _ in presence._usable()] == ["n2", "n1"]
    apart.nodes.go_on(0)

    def beats_there() -> bool:
        before = count(apart, 0, presence)
        presence.beat(())
        return count(apart, 0, presence) > before

    wait_until(beats_there)


def test_that_a_node_is_away_is_said_once_and_that_it_is_back(apart, presence, caplog):
    caplog.set_level("INFO", "taskmesh.worker")
    apart.nodes.stop(0)
    presence.beat(())
    presence._places["n1"].rest.until_s = 0.0
    presence.orders()
    apart.link.usable = ("n2",)  # a view leaves it out
    presence.beat(())
    # and on a busy machine that another is dead, who never beats here
    (away,) = [said for said in caplog.messages if said.startswith("node n")]
    assert away.startswith("node n1: ")
    apart.nodes.go_on(0)
    apart.link.usable = ("n1", "n2")

    def is_back() -> bool:
        presence.beat(())
        return "node n1 answers again" in caplog.messages

    wait_until(is_back)
    presence.beat(())
    assert [said for said in caplog.messages if said.startswith("node n1")] == [away, "node n1 answers again"]


def test_declared_dead_on_one_it_registers_there_again(apart, presence):
    declare(apart, 0, presence)
    presence.beat(())
    assert ask(apart, 0, b"HGET", keys.worker(apart.link.prefix, presence.incarnation), b"state") == b"live"
    presence.beat(())


def test_declared_dead_on_all_it_is_dead(apart, presence):
    for at in range(2):
        declare(apart, at, presence)
    with pytest.raises(DeclaredDead):
        presence.beat(())


def claim_everywhere(apart, presence):
    """Have a child claim two messages at each node and die; return it and, by their names, its claims."""
    for at in range(2):
        for number in range(2):
            apart.delay(at, "note", f"{at}-{number}")
    child = apart.child()
    batches = {}

    def all_claimed() -> bool:
        batch = child._talk.turn(2)
        if batch:  # a busy machine may have a node miss its moment
            batches[child._talk.sequence] = batch
        return len(batches) == 2

    wait_until(all_claimed)
    assert set(batches) == {claim_name("n1", 1), claim_name("n2", 1)}
    return child, batches


def test_what_a_dead_child_held_goes_back_on_each_and_one_is_charged(apart, presence):
    child, batches = claim_everywhere(apart, presence)
    last = Note(claim_name("n2", 1), 2, 2, 0.0)
    assert presence.undertaker.child_died(child.holder, [b"default"], last, "signal 9", last=last) == 4

    def crashes(at, claimed):
        return ask(apart, at, b"GET", apart.link.prefix + b"r:" + claimed.task_id)[58:60]

    assert [crashes(1, claimed) for claimed in batches[claim_name("n2", 1)]] == [b"00", b"01"]
    assert [crashes(0, claimed) for claimed in batches[claim_name("n1", 1)]] == [b"00", b"00"]


def test_a_crash_is_told_of_the_worker_whose_child_it_was(apart, presence):
    presence.tell(b'{"name": "w"}')
    apart.delay(0, "note", "last words")
    child = apart.child()
    wait_until(lambda: child._talk.turn(1))
    other = MeshPresence(
        apart.link, "other", Serves("build"), lease_ttl_s=10, max_crashes=3, dead_expires_s=100
    )
    other.register(b"{}")
    declare(apart, 0, presence)
    with apart.meshes[0].events(["crashed"]) as events:
        undertaker = other._places["n1"].presence.undertaker
        assert undertaker.worker_died(presence.incarnation, blame=True) == 1
        crashed = events.read(90)
    assert (crashed.task, crashed.worker) == ("note", "w")
    assert crashed.detail == "the death of its worker"


def test_a_node_that_was_away_is_told_of_the_dead_later(apart, presence):
    child, _ = claim_everywhere(apart, presence)
    apart.nodes.stop(0)
    assert presence.undertaker.child_died(child.holder, [b"default"], None, "") == 2
    apart.nodes.go_on(0)

    def is_back() -> bool:
        presence.beat(())
        return waiting(apart, 0) == 2

    wait_until(is_back)


def test_nodes_that_appear_know_it_with_the_next_beat(apart, presence):
    apart.link.usable = ("n2",)
    presence.beat(())
    before = count(apart, 0, presence)
    presence.beat(())
    assert count(apart, 0, presence) == before
    apart.link.usable = ("n1", "n2")
    presence.beat(())
    assert count(apart, 0, presence) > before


def test_what_is_parked_goes_back_only_for_a_worker_that_serves_its_queue_and_knows_its_task(apart, presence):
    apart.delay(0, "note", "unknown here")
    del apart.mesh.tasks["note"]
    apart.child().run()

    def parked_beside(build, queues, tasks):
        other = MeshPresence(
            apart.link,
            "other",
            Serves(build, queues, tasks),
            lease_ttl_s=10,
            max_crashes=3,
            dead_expires_s=100,
        )
        other.register(b"{}")
        return ask(apart, 0, b"HLEN", keys.parked(apart.link.prefix)), waiting(apart, 0)

    assert parked_beside("build", ["default"], ["note"]) == (1, 0)
    assert parked_beside("another", ["elsewhere"], ["note"]) == (1, 0)
    assert parked_beside("another", ["default"], ["other"]) == (1, 0)
    assert parked_beside("another", ["elsewhere", "default"], ["other", "note"]) == (0, 1)
