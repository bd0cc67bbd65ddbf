"""Workers that hear of work by tickets: who gets work, and what becomes of tickets."""

from __future__ import annotations

import signal

import pytest

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until
from tests.ticket_broker import FileBroker


def idle(scene: Scene, queue: str = "default") -> int:
    """Return how many children wait for tickets."""
    count: int = scene.node.zcard(f"{scene.prefix}tidle:{queue}")
    return count


def told(scene: Scene) -> list[tuple[bool | None, str | None]]:
    """Return what each worker publishes of its broker."""
    brokers = [about["broker"] for about in scene.mesh.inspect().stats().values()]
    return [(broker["hears"], broker["trouble"]) for broker in brokers if broker]


@pytest.mark.parametrize("pools", [(), ("thread:4",), ("async:4",)], ids=["process", "thread", "async"])
def test_tickets_wake_children_of_each_pool(scene: Scene, broker: FileBroker, pools: tuple[str, ...]) -> None:
    scene.worker(2, pools=pools)
    wait_until(lambda: idle(scene) == (2 if not pools else 1), what="they wait for tickets")
    assert scene.idle() == 0, "the node itself wakes none of them"
    for number in range(20):
        assert scene.send(tasks.add, number, 1, expect=number + 1).get(90) == number + 1
    scene.check()
    wait_until(lambda: not broker.waiting("default") and not broker.out("default"), what="all are settled")
    assert broker.noted("acknowledged default") > 0


def test_a_ticket_of_a_busy_worker_is_left_to_others(scene: Scene, broker: FileBroker) -> None:
    folder = str(scene.folder)
    scene.worker(1, name="busy")
    held = scene.send(tasks.hold, folder, "held", expect=0)
    scene.started("held")
    other = scene.send(tasks.add, 1, 2, expect=3)
    scene.worker(1, name="other")
    assert other.get(90) == 3
    assert not held.ready()
    wait_until(lambda: not broker.out("default"), what="the busy one holds none")
    scene.let("held")
    scene.check()


def test_without_the_broker_work_starts_later_and_its_return_is_told(
    scene: Scene, broker: FileBroker
) -> None:
    worker = scene.worker(1)
    wait_until(lambda: idle(scene) == 1, what="it waits")
    with broker.in_trouble("away"):
        worker.says("hears nothing of its broker: nobody answers")
        wait_until(lambda: told(scene) == [(False, "nobody answers")], what="others are told so")
        assert scene.send(tasks.add, 1, 2, expect=3).get(90) == 3
    worker.says("hears of its broker again")
    wait_until(lambda: told(scene) == [(True, None)], what="others are told that too")
    assert worker.said().count("hears nothing of its broker") == 1
    scene.check()


def test_a_worker_starts_without_its_broker(scene: Scene, broker: FileBroker) -> None:
    with broker.in_trouble("away"):
        worker = scene.worker(1)
        worker.says("begins without it")
        assert scene.send(tasks.add, 1, 2, expect=3).get(90) == 3
    scene.check()


def test_a_broker_that_refuses_the_account_ends_the_worker(scene: Scene, broker: FileBroker) -> None:
    with broker.in_trouble("refused"):
        worker = scene.worker(1, ready=False)
        assert worker.exit_code() == 1
    assert "this account may not listen" in worker.said()


@pytest.mark.parametrize("signals", [1, 2])
def test_a_worker_that_stops_holds_no_ticket(scene: Scene, broker: FileBroker, signals: int) -> None:
    folder = str(scene.folder)
    worker = scene.worker(1)
    held = scene.send(tasks.hold, folder, "held", expect=0)
    scene.started("held")
    broker.announce("default", 3)
    worker.send(signal.SIGTERM)
    worker.says("stops")
    wait_until(lambda: broker.noted("left") == 1, what="it has left the broker")
    assert broker.out("default") == 0
    if signals == 2:
        worker.send(signal.SIGTERM)
        assert worker.exit_code() == 0
        scene.worker(1)
    scene.let("held")
    assert held.get(90) == 0
    assert worker.exit_code() == 0
    scene.check()


def test_a_burst_takes_no_tickets(scene: Scene, broker: FileBroker) -> None:
    sent = scene.send(tasks.add, 1, 2, expect=3)
    worker = scene.worker(1, burst=True, ready=False)
    assert worker.exit_code() == 0
    assert sent.get(90) == 3
    assert broker.noted("taken default") == 0
    assert broker.waiting("default") == 1


@pytest.mark.slow
def test_a_worker_that_was_declared_dead_hears_in_its_next_life(scene: Scene, broker: FileBroker) -> None:
    scene.settings["lease_ttl"] = 6.0  # longer than a busy machine stands still
    worker = scene.worker(1, name="stopped")
    wait_until(lambda: idle(scene) == 1, what="it waits")
    other = scene.worker(1, name="other", queues=("elsewhere",), log_level="INFO")
    worker.signal_all(signal.SIGSTOP)
    wait_until(lambda: "stopped" not in scene.live_workers(), what="it is declared dead")
    worker.signal_all(signal.SIGCONT)
    worker.says("begins anew")
    wait_until(lambda: idle(scene) == 1, what="a child of its new life waits")
    before = broker.noted("acknowledged default")
    assert scene.send(tasks.add, 1, 2, expect=3).get(90) == 3
    wait_until(lambda: broker.noted("acknowledged default") > before, what="the ticket was heard")
    assert broker.noted("left") == 1
    scene.check()
    other.says("is declared dead")
    assert "back in line" not in other.said(), "it held nothing"


@pytest.mark.slow
def test_a_consumer_that_is_deaf_is_made_anew(scene: Scene, broker: FileBroker) -> None:
    """Nothing is wrong with its connection, as far as anybody is told; and tickets wait beside idle children."""
    worker = scene.worker(1)
    wait_until(lambda: idle(scene) == 1, what="it waits")
    with broker.in_trouble("deaf"):
        broker.announce("default")
        worker.says("hears nothing though tickets wait at files of")
        wait_until(lambda: broker.waiting("default") == 0, what="the new connection hears")
    assert broker.noted("renewed") >= 1
    assert worker.said().count("hears nothing though") == 1


def test_the_leader_makes_tickets_for_what_has_none(scene: Scene, broker: FileBroker) -> None:
    with broker.in_trouble("away"):
        sent = scene.send(tasks.add, 1, 2, expect=3)
        scene.mesh.tasks["tests.apps.worker_tasks.add"].apply_async((1, 1), queue="paused")
        scene.mesh.pause_queue("paused")
    assert broker.waiting("default") == 0
    leader = scene.worker(1, name="leader", queues=("elsewhere",))
    wait_until(lambda: broker.waiting("default") == 1, what="it has a ticket")
    assert broker.waiting("paused") == 0
    leader.send(signal.SIGTERM)
    scene.worker(1)
    assert sent.get(90) == 3
