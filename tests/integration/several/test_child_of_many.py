"""A child of a worker on several nodes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from taskmesh.core import keys
from taskmesh.worker import node_choice
from taskmesh.worker.options import EXIT_BURST_DONE
from tests.integration.several.apart import Apart
from tests.support import wait_until

RAN: list[str] = []
HOLD = threading.Event()


def note(what: str) -> str:
    RAN.append(what)
    return what


def hold(what: str) -> str:
    RAN.append(what)
    assert HOLD.wait(90)
    return what


@pytest.fixture
def apart(make_nodes) -> Iterator[Apart]:
    RAN.clear()
    HOLD.clear()
    nodes = make_nodes(2)
    made = Apart(nodes.urls, "s" * 40)
    made.nodes = nodes
    for function in (note, hold):
        for mesh in (made.mesh, *made.meshes):
            mesh.task(name=function.__name__)(function)
    yield made
    made.close()


@contextmanager
def living(child) -> Iterator[None]:
    """Have a child live in a thread meanwhile."""
    thread = threading.Thread(target=child.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        HOLD.set()
        child.stop()
        thread.join(90)
        assert not thread.is_alive()


def is_idle_at(apart, child, at, queue="default"):
    """Tell whether a child is registered as idle at a node."""
    mesh = apart.meshes[at]
    words = (b"ZSCORE", keys.prefix("apart") + b"idle:" + queue.encode(), child.holder)
    from taskmesh.replication.ask import plain

    return mesh.link.run(plain(mesh.link.session, *words)) is not None


def test_it_runs_what_any_of_them_holds(apart):
    results = [apart.delay(at, "note", f"{at}-{number}") for at in range(2) for number in range(30)]
    assert apart.child().run() == EXIT_BURST_DONE
    assert {result.get(timeout=90) for result in results} == set(RAN)
    assert Counter(RAN) == Counter(f"{at}-{number}" for at in range(2) for number in range(30))


def test_a_burst_does_not_end_before_a_slow_node_was_asked(apart):
    result = apart.delay(0, "note", "there")
    child = apart.child()
    # as after an answer that took a quarter of it: the others are asked meanwhile
    child._talk._talks[0].rest.until_s = time.monotonic() + 2.0
    assert child.run() == EXIT_BURST_DONE
    assert RAN == ["there"]
    assert result.get(timeout=90) == "there"


def test_an_idle_child_is_woken_by_any_of_them(apart):
    child = apart.child(burst=False)
    with living(child):
        for at in (0, 1, 1, 0):
            wait_until(lambda: all(is_idle_at(apart, child, each) for each in range(2)))
            began_s = time.monotonic()
            assert apart.delay(at, "note", f"{at}").get(timeout=90) == f"{at}"
            print(time.monotonic() - began_s)


def test_a_child_that_runs_something_is_handed_nothing_by_another_node(apart):
    child = apart.child(burst=False)
    with living(child):
        wait_until(lambda: all(is_idle_at(apart, child, each) for each in range(2)))
        held = apart.delay(0, "hold", "held")
        wait_until(lambda: RAN == ["held"])
        assert not is_idle_at(apart, child, 1)
        waiting = apart.delay(1, "note", "waits")
        other = apart.child(number=2)
        assert other.run() == EXIT_BURST_DONE
        assert waiting.get(timeout=90) == "waits"
        HOLD.set()
        assert held.get(timeout=90) == "held"


def test_a_node_that_stands_still_keeps_nothing_from_the_others(apart):
    child = apart.child(burst=False)
    results = [apart.delay(1, "note", f"{number}") for number in range(3)]
    with living(child):
        assert [result.get(timeout=90) for result in results] == ["0", "1", "2"]
        # it holds a claim and its outcome is to be committed when the node stands still
        stuck = apart.delay(0, "hold", "stuck")
        wait_until(lambda: RAN[-1] == "stuck")
        apart.nodes.stop(0)
        HOLD.set()
        for number in range(5):
            assert apart.delay(1, "note", f"more-{number}").get(timeout=90) == f"more-{number}"
        apart.nodes.go_on(0)
        assert stuck.get(timeout=90) == "stuck"
        assert apart.delay(0, "note", "again").get(timeout=90) == "again"
    assert Counter(RAN)["stuck"] == 1


def test_what_a_node_gave_without_being_heard_is_asked_for_again(apart, monkeypatch):
    """The claim is executed when the node goes on; its answer has been given up by then."""
    # its comparison with the node would find it, too
    for module in ("speaking", "mesh_conversation"):
        monkeypatch.setattr(f"taskmesh.worker.{module}.COMPARE_S", 3600.0)
    first, second = (apart.delay(0, "note", what).id for what in "ab")
    talk = apart.child(burst=False)._talk
    # a busy machine may have a node miss its moment
    found = wait_until(lambda: talk.turn(1))
    assert [claimed.task_id.decode() for claimed in found] == [first]
    apart.nodes.stop(0)
    assert talk.turn(1) == []
    apart.nodes.go_on(0)
    found = wait_until(lambda: talk.turn(1))
    assert [claimed.task_id.decode() for claimed in found] == [second]


def test_two_nodes_with_one_queue_give_alike(apart, monkeypatch):
    # none is left alone that answers late: on a busy machine each does now and then
    monkeypatch.setattr("taskmesh.worker.rest.SLOW_S", 3600.0)
    numbers = count(1)

    def do() -> bool:
        for at in range(2):
            for number in range(40):
                apart.delay(at, "note", f"{at}-{number}")
        child = apart.child(number=next(numbers), strategy="weighted")
        child._pace._claim_max = 1
        order = []
        claim = child._talk._begin
        child._talk._begin = lambda talk, batch: (order.append(talk.node), claim(talk, batch))
        child._pace.most = lambda: 1
        assert child.run() == EXIT_BURST_DONE
        return abs(order[:40].count("n1") - 20) <= 1

    # a busy machine may let one of them stand still for a while, and then the other gives more
    wait_until(do, what="both give alike")


def test_nodes_are_taken_up_and_left(apart):
    apart.link.usable = ("n1",)
    child = apart.child(burst=False)
    with living(child):
        wait_until(lambda: is_idle_at(apart, child, 0))
        later = apart.delay(1, "note", "later")
        assert not later.ready()
        apart.link.usable = ("n1", "n2")
        assert later.get(timeout=90) == "later"
        apart.link.usable = ("n2",)
        assert apart.delay(1, "note", "there").get(timeout=90) == "there"
        wait_until(lambda: [talk.node for talk in child._talk._talks] == ["n2"])


def test_what_waits_behind_a_run_goes_back_when_its_node_is_away(apart):
    for what in "abc":
        apart.delay(0, "note", what)
    child = apart.child(burst=False)
    talk = child._talk
    assert len(wait_until(lambda: talk.turn(3))) == 3
    apart.nodes.stop(0)
    talk.give_back(1)
    apart.nodes.go_on(0)
    talk.outbox.finish()
    other = apart.child(number=2)
    assert other.run() == EXIT_BURST_DONE
    assert RAN == ["b", "c"]
    talk.outbox.close()


def test_a_child_that_may_claim_from_one_node_has_its_turn_with_each(apart, monkeypatch):
    monkeypatch.setattr(node_choice, "TURN_S", 0.2)
    child = apart.child(burst=False, nodes=1)
    with living(child):
        results = [apart.delay(at, "note", f"{at}-{number}") for at in range(2) for number in range(3)]
        assert {result.get(timeout=90) for result in results} == set(RAN)
        assert len(child._talk._talks) == 1
