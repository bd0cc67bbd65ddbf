"""Workers are told to stop: what runs is finished or given back, nothing is charged, the exit code is 0."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, is_gone
from tests.faults.server import Server
from tests.support import wait_until


def send_load(scene: Scene, count: int) -> None:
    folder = str(scene.folder)
    scene.send_many(tasks.nap, [(folder, f"load{i}", 0.002) for i in range(count)], [0.002] * count)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT to the group"])
def test_what_runs_is_finished_and_the_rest_returned(scene: Scene, how: str) -> None:
    folder = str(scene.folder)
    worker = scene.worker(2)
    scene.send(tasks.hold, folder, "one", 1, expect=1)
    scene.send(tasks.hold_async, folder, "two", 2, expect=2)
    scene.started("one")
    scene.started("two")
    send_load(scene, 100)
    if how == "SIGTERM":
        worker.send(signal.SIGTERM)
    else:
        os.killpg(worker.pid, signal.SIGINT)
    worker.says("stops: running tasks have")
    assert scene.states() == {"STARTED": 2, "PENDING": 100}
    assert worker.process.poll() is None
    scene.let("one")
    scene.let("two")
    assert worker.exit_code() == 0
    assert scene.states() == {"SUCCESS": 2, "PENDING": 100}
    assert not scene.live_workers()
    scene.worker(2, name="next")
    scene.check()
    assert all(scene.crashes(handle) == 0 for handle, _ in scene.accepted.values())


def test_under_load_nothing_is_lost_or_run_twice(scene: Scene) -> None:
    """Stopped in full flight, again and again."""
    send_load(scene, 1200)
    for turn in (1, 2, 3):
        worker = scene.worker(2, name=f"turn{turn}", ready=False)
        wait_until(lambda at=turn: len(scene.notes()) >= 100 * at, what="some have run")
        worker.send(signal.SIGTERM)
        assert worker.exit_code() == 0
        scene.look()
        assert "STARTED" not in scene.states()
    scene.worker(2, name="last")
    scene.check()
    assert len(scene.notes()) == 1200, "each ran once"


def test_a_second_signal_returns_everything_at_once(scene: Scene) -> None:
    worker = scene.worker(2)
    held = [scene.send(tasks.hold, str(scene.folder), name, expect=0) for name in ("one", "two")]
    pids = [scene.started(name) for name in ("one", "two")]
    worker.send(signal.SIGTERM)
    worker.says("stops: running tasks have")
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert all(is_gone(pid) for pid in pids)
    assert scene.states() == {"PENDING": 2}
    scene.let("one")
    scene.let("two")
    scene.worker(2, name="next")
    scene.check()
    assert [scene.crashes(handle) for handle in held] == [0, 0]


def test_the_grace_ends_what_does_not_end_by_itself(scene: Scene) -> None:
    worker = scene.worker(1, grace_s=0.3)
    held = scene.send(tasks.hold, str(scene.folder), "held", expect=0)
    scene.started("held")
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert scene.state_of(held) == "PENDING"
    scene.let("held")
    scene.worker(1, name="next")
    scene.check()
    assert scene.crashes(held) == 0


def test_an_idle_worker_stops_and_is_not_called_idle_any_more(scene: Scene) -> None:
    """Else messages would be handed to children that do not exist."""
    worker = scene.worker(4)
    wait_until(lambda: scene.idle() == 4)
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert not scene.node.keys(f"{scene.prefix}idle:*")


def test_a_worker_told_to_stop_while_it_starts_stops(scene: Scene) -> None:
    """Whenever the signal comes: while the app is imported, while children begin, afterwards."""
    for turn in range(5):
        worker = scene.worker(3, name=f"turn{turn}", ready=False)
        wait_until(lambda: worker.process.poll() is not None or worker.log.exists())  # noqa: B023
        deadline = time.monotonic() + 0.08 * turn
        wait_until(lambda: time.monotonic() >= deadline)  # noqa: B023 - another moment in each turn
        worker.send(signal.SIGTERM)
        assert worker.exit_code() in (0, -signal.SIGTERM)
    assert not scene.live_workers()


def test_a_child_is_told_to_stop_before_it_can_heed_signals(scene: Scene) -> None:
    """The signal waits for it: else it would work on until the grace ends, in a worker that stops."""
    worker = scene.worker(1, env={"TASKMESH_TEST_SLOW_FORK": str(scene.folder)}, ready=False)
    scene.started("fork")
    worker.send(signal.SIGTERM)
    worker.says("stops: running tasks have")
    scene.let("fork")
    assert worker.exit_code() == 0


def test_a_worker_stops_within_its_grace_when_the_node_is_gone(scene: Scene, make_scene) -> None:
    """What it held cannot be given back; the lease sees to that."""
    from taskmesh.nodes.embedded import start_private

    node = start_private("gone-node")
    try:
        lonely = make_scene("gone-node", f"unix://{node.socket_path}")
        worker = lonely.worker(1, grace_s=0.3)
        lonely.send(tasks.hold, str(lonely.folder), "held", expect=0)
        lonely.started("held")
    finally:
        node.close()
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert "goes back in line when its lease ends" in worker.said()


def test_a_burst_ends_when_the_queue_is_empty(scene: Scene) -> None:
    scene.send_many(tasks.add, [(i, i) for i in range(300)], [2 * i for i in range(300)])
    worker = scene.worker(2, burst=True, ready=False)
    assert worker.exit_code() == 0
    scene.check()
    assert not scene.live_workers()


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_burst_does_not_leave_what_a_crash_put_back(scene: Scene, concurrency: int) -> None:
    scene.send(tasks.kill_itself_once, str(scene.folder), 5, expect=5)
    worker = scene.worker(concurrency, burst=True, ready=False)
    assert worker.exit_code() == 0
    scene.check()


def test_a_burst_does_not_leave_slots_empty_when_work_comes_back(scene: Scene) -> None:
    """One child found the line empty and ended; what is recalled from the other must not wait for that one."""
    folder = str(scene.folder)
    train = [(folder, "train", 0.0)] * 300
    scene.send_many(tasks.hold_or_nap, train, [0.0] * 300)
    calls = [(folder, "slow", -1.0)] + [(folder, f"quick{i}", 0.001) for i in range(30)]
    scene.send_many(tasks.hold_or_nap, calls, [call[2] for call in calls])
    worker = scene.worker(2, burst=True, ready=False)
    scene.started("slow")
    wait_until(lambda: len(scene.notes()) == 331, what="all others run while the slow one does")
    assert worker.process.poll() is None
    scene.let("slow")
    assert worker.exit_code() == 0
    scene.check()


@pytest.mark.parametrize("harm", ["killed", "stopped"])
@pytest.mark.parametrize("pools", [("process:2",), ("async:8",)], ids=str)
def test_an_idle_worker_does_not_wait_for_a_node_that_is_down(
    make_scene, server: Server, pools: tuple[str, ...], harm: str
) -> None:
    """Nothing runs, so there is nothing for which its grace was meant."""
    lonely = make_scene("down", server.url)
    worker = lonely.worker(pools=pools)
    lonely.send(tasks.add, 1, 2, expect=3)
    lonely.settle()
    wait_until(lambda: lonely.idle() == (2 if pools == ("process:2",) else 1))
    if harm == "killed":
        server.kill()
    else:
        server.send(signal.SIGSTOP)
    worker.send(signal.SIGTERM)
    assert worker.exit_code(90) == 0
    said = worker.said()
    assert "running child" not in said
    assert said.count("is not back in line yet") <= 2


@pytest.mark.parametrize("pools", [("process:1",), ("async:4",)], ids=str)
def test_a_burst_waits_for_what_is_due_in_a_moment(scene: Scene, pools: tuple[str, ...]) -> None:
    """As a message in RETRY is; for what is due later there are other workers."""
    later = scene.task(tasks.add).apply_async((1, 1), countdown=3600)
    soon = scene.enter(scene.task(tasks.add).apply_async((1, 2), countdown=1.5), 3)
    worker = scene.worker(pools=pools, burst=True, ready=False)
    assert worker.exit_code() == 0
    assert scene.state_of(soon) == "SUCCESS"
    assert scene.state_of(later) == "SCHEDULED"
