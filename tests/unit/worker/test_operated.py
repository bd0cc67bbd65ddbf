"""What a child does by what operators have set."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from taskmesh.core.record import HEAD_LENGTH
from taskmesh.queue.claim import Claimed
from taskmesh.queue.setting import Operated
from taskmesh.worker.operated import READ_S, OperatedHere
from taskmesh.worker.options import ChildOrder
from taskmesh.worker.pick import Pick


def pick(operated: OperatedHere, **more: object) -> Pick:
    order = ChildOrder(
        incarnation="i" * 16, number=1, place=0, worker="w", queues=("mail", "slow"), burst=False, **more
    )
    clock = SimpleNamespace(now_ms=lambda: 0)
    link = SimpleNamespace(nodes=("",), driver=SimpleNamespace(address="node"), clock=clock)
    return Pick(order, link, operated, 0.0)


def first_of(picked: Pick, claims: int) -> str:
    """Return the first letters of the queues that claims of one message look into first."""
    letters = ""
    for number in range(claims):
        queue = picked.order(number * 0.01)[0]
        letters += queue.decode()[0]
        record = b"0" * 102 + b"%02x" % len(queue) + b"0" * (HEAD_LENGTH - 104) + queue
        picked.claimed([Claimed(b"id", b"token", record)], 1, number * 0.01)
    return letters


def test_a_weight_counts_while_it_is_set_and_the_default_strategy_gives_way_to_it():
    operated = OperatedHere()
    picked = pick(operated)
    assert first_of(picked, 8).count("m") == 4
    operated.take(Operated({"mail": 3, "elsewhere": 5}, {}), 1.0)
    assert first_of(picked, 8).count("m") == 6
    operated.take(Operated({}, {}), 2.0)
    assert first_of(picked, 8).count("m") == 4


def test_it_counts_instead_of_what_the_worker_was_started_with():
    operated = OperatedHere()
    picked = pick(operated, weights={"slow": 3}, strategy="weighted")
    operated.take(Operated({"slow": 1}, {}), 1.0)
    assert first_of(picked, 8).count("m") == 4


def test_a_strategy_that_was_named_and_reads_no_weights_stays():
    operated = OperatedHere()
    operated.take(Operated({"slow": 3}, {}), 1.0)
    assert first_of(pick(operated, strategy="priority"), 4) == "mmmm"


def test_it_is_read_again_after_a_while_and_holds_while_the_node_is_away():
    operated = OperatedHere()
    assert operated.is_due(5.0)
    operated.take(Operated({}, {"app.add": "1/s"}), 5.0)
    assert not operated.is_due(5.0 + READ_S / 2)
    assert operated.age_s(6.0) == pytest.approx(1.0)
    operated.take(None, 6.0)
    assert (operated.limits("app.add"), operated.limits("app.other")) == (True, False)


def test_a_listener_is_heard_until_its_time_is_over():
    now_ms = [1000]
    operated = OperatedHere(lambda: now_ms[0])
    assert not operated.is_listened
    operated.take(Operated({}, {}, 1500), 1.0)
    assert operated.is_listened
    now_ms[0] = 1500
    operated.take(Operated({}, {}, 1500), 2.0)
    assert not operated.is_listened
    operated.take(Operated({}, {}), 3.0)
    assert not operated.is_listened
