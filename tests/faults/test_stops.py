"""Processes are stopped for longer than anybody waits for them, and go on as if nothing had been."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

import pytest

from tests.faults.load import Load
from tests.faults.nemesis import Nemesis
from tests.faults.producing import Producer, send_again
from tests.faults.scene import Scene
from tests.faults.server import Server
from tests.support import wait_until

LEASE_S = 5.0


@pytest.fixture
def stopped(make_scene: Callable[..., Scene], server: Server) -> Scene:
    return make_scene("stops", server.url, max_crashes=99, send_timeout=1.0, lease_ttl=LEASE_S)


def test_a_worker_stopped_past_its_lease_under_load(
    make_scene: Callable[..., Scene], server: Server, seed: int
) -> None:
    """What it held runs elsewhere; what it says when it goes on is refused."""
    scene = make_scene("past-its-lease", server.url, max_crashes=99, send_timeout=1.0, lease_ttl=3.0)
    nemesis = Nemesis(scene, random.Random(seed), lambda: None)
    with Load(scene, seed=seed) as load:
        for _ in range(2):
            load.ran(60)
            nemesis.stop_worker(load)
        load.ran(60)
    load.balance()


def test_a_stopped_node(stopped: Scene, server: Server, seed: int) -> None:
    """Longer than a lease: nobody is declared dead for it, and nothing is run twice."""
    worker = stopped.worker(2)
    other = stopped.worker(1)
    with Load(stopped, seed=seed) as load:
        load.ran(100)
        server.send(signal.SIGSTOP)
        load.refused()
        load.rest(LEASE_S + 1)
        server.send(signal.SIGCONT)
        load.ran(100)
    load.balance()
    assert "declared dead" not in worker.said() + other.said()


@pytest.mark.parametrize("then", ["it goes on", "it is killed"])
def test_a_producer_stopped_inside_a_send(
    make_scene: Callable[..., Scene], server: Server, then: str
) -> None:
    """The node takes the message while the producer stands still: one record, whatever becomes of the producer."""
    # it waits for its answer until it is stopped, and tries no other message meanwhile
    stopped = make_scene("producer", server.url, max_crashes=99, send_timeout=300.0, lease_ttl=LEASE_S)
    stopped.worker(1)
    load = Load(stopped)
    with Producer(stopped, load.folder) as producer:
        producer.says_more(20)
        server.send(signal.SIGSTOP)
        task_id = producer.is_sending()
        producer.send(signal.SIGSTOP)
        server.send(signal.SIGCONT)
        wait_until(lambda: stopped.record(task_id) is not None, what="it is recorded")
        if then == "it goes on":
            producer.send(signal.SIGCONT)
            producer.says_more(20)
        producer.end()
        producer.enter(load.ledger)
    if then == "it is killed":
        assert task_id in load.ledger.unknown
    again = send_again(load)
    assert again <= 1
    assert task_id in load.ledger.accepted
    load.balance()


def test_producers_killed_at_any_moment(stopped: Scene, seed: int) -> None:
    """What they were told holds; what they were not told is recorded once or not, and may be sent again."""
    rng = random.Random(seed)
    stopped.worker(2)
    load = Load(stopped)
    for _ in range(5):
        with Producer(stopped, load.folder) as producer:
            producer.says_more(rng.randrange(5, 60))
            producer.end()
            producer.enter(load.ledger)
    send_again(load)
    load.balance()
