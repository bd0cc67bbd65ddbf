"""How workers with concurrent children end, and what they survive."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from taskmesh.nodes.embedded import PrivateNode
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until

KINDS = ("thread:20", "async:20")


@pytest.mark.parametrize("pool", KINDS)
def test_a_burst_ends_when_nothing_is_left(scene: Scene, pool: str) -> None:
    scene.send_many(tasks.add, [(i, i) for i in range(300)], range(0, 600, 2))
    worker = scene.worker(pools=(pool,), burst=True, ready=False)
    assert worker.exit_code() == 0
    scene.check()


@pytest.mark.parametrize("pool", KINDS)
def test_the_first_signal_lets_what_runs_finish_and_takes_no_more(scene: Scene, pool: str) -> None:
    worker = scene.worker(pools=(pool,))
    running = [scene.send(tasks.hold_async, str(scene.folder), f"r{i}", i, expect=i) for i in range(10)]
    for i in range(10):
        scene.started(f"r{i}")
    wait_until(lambda: scene.idle() == 1, what="it has room, and waits for more")
    worker.send(signal.SIGTERM)
    wait_until(lambda: scene.idle() == 0)
    late = scene.send(tasks.add, 1, 1, expect=2)
    assert scene.state_of(late) == "PENDING"
    for i in range(10):
        scene.let(f"r{i}")
    assert worker.exit_code() == 0
    assert {scene.state_of(handle) for handle in running} == {"SUCCESS"}
    assert scene.state_of(late) == "PENDING"
    scene.worker()
    scene.check()


@pytest.mark.parametrize("pool", KINDS)
def test_the_second_signal_returns_what_runs_uncharged(scene: Scene, pool: str) -> None:
    worker = scene.worker(pools=(pool,))
    running = [scene.send(tasks.hold_async, str(scene.folder), f"r{i}", i, expect=i) for i in range(5)]
    for i in range(5):
        scene.started(f"r{i}")
    worker.send(signal.SIGTERM)
    worker.says("have 30 s to finish")
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert scene.states() == {"PENDING": 5}
    assert {scene.crashes(handle) for handle in running} == {0}
    for i in range(5):
        scene.let(f"r{i}")
    scene.worker()
    scene.check()


@pytest.mark.parametrize("pool", KINDS)
def test_a_worker_that_was_declared_dead_begins_anew(
    make_scene: Callable[..., Scene], chaos_node: PrivateNode, pool: str
) -> None:
    """What it ran, another runs; it takes part again under a new name."""
    scene = make_scene(f"dead-{pool.partition(':')[0]}", f"unix://{chaos_node.socket_path}", lease_ttl=1.0)
    worker = scene.worker(pools=(pool,), name="stopped")
    sent = [scene.send(tasks.hold_async, str(scene.folder), f"r{i}", i, expect=i) for i in range(5)]
    for i in range(5):
        scene.started(f"r{i}")
    before = scene.live_workers()["stopped"]
    worker.signal_all(signal.SIGSTOP)
    for i in range(5):
        scene.let(f"r{i}")
    scene.worker(name="other")
    for handle in sent:
        handle.get(90)
    worker.signal_all(signal.SIGCONT)
    wait_until(lambda: scene.live_workers().get("stopped", before) != before)
    scene.check()


@pytest.mark.parametrize("pool", KINDS)
def test_connections_may_break_at_any_time(scene: Scene, pool: str) -> None:
    scene.worker(pools=(pool,))
    for at in range(5):
        scene.send_many(tasks.add, [(i, at) for i in range(200)], [i + at for i in range(200)])
        scene.node.client_kill_filter(_type="normal", skipme=True)
    scene.check()


def test_several_pools_side_by_side_serve_their_queues(scene: Scene) -> None:
    scene.worker(pools=("process:2=cpu", "async:50=io", "thread:3=cpu,default"))
    hold = scene.task(tasks.hold_async)
    pids = {}
    for queue in ("cpu", "io", "default"):
        handles = [
            scene.enter(hold.apply_async((str(scene.folder), f"{queue}{i}", i), queue=queue), i)
            for i in range(6 if queue == "io" else 3)
        ]
        pids[queue] = {scene.started(f"{queue}{i}") for i in range(len(handles))}
        for i in range(len(handles)):
            scene.let(f"{queue}{i}")
        for handle in handles:
            handle.get(90)
    assert len(pids["io"]) == len(pids["default"]) == 1
    assert pids["io"].isdisjoint(pids["cpu"] | pids["default"])
    scene.check()
