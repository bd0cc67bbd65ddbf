"""The node is killed, cut off, full or emptied of its scripts while everything runs."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taskmesh.errors import BatchError, QueueFull, SendRejected
from taskmesh.nodes import embedded
from taskmesh.nodes.embedded import start_private
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until


@pytest.fixture
def shared(make_scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A mesh on its shared embedded node, in a state folder of the test's own."""
    root = Path(tempfile.mkdtemp(prefix="tm-", dir="/tmp"))
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(root))
    try:
        scene = make_scene("chaos-shared", "")
        yield scene
        scene.close()
        embedded.stop("chaos-shared")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def send_steadily(scene: Scene, bulks: int) -> None:
    """Send in bulk, one by one in between, and send again what was not accepted."""
    task = scene.task(tasks.add)
    for bulk in range(bulks):
        calls = [(bulk, i) for i in range(50)]
        try:
            sent = task.starmap(calls)
        except BatchError as error:
            sent = error.results
            wait_until(lambda e=error: sent_again(e), what="the rest is accepted")
        for (x, y), handle in zip(calls, sent, strict=True):
            scene.enter(handle, x + y)
        scene.send(tasks.add, bulk, 1000, expect=bulk + 1000)


def sent_again(error: BatchError) -> bool:
    try:
        error.batch.send()
    except BatchError:
        return False
    return True


@contextmanager
def during_load(scene: Scene, bulks: int) -> Iterator[Callable[[int], None]]:
    """Send in a thread of its own; yields what waits until so many were accepted."""
    failures: list[BaseException] = []

    def send() -> None:
        try:
            send_steadily(scene, bulks)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    thread = threading.Thread(target=send)
    thread.start()

    def accepted(count: int) -> None:
        wait_until(lambda: len(scene.accepted) >= count or failures, what=f"{count} are accepted")
        assert not failures, failures

    yield accepted
    thread.join(300)
    assert not thread.is_alive()
    assert not failures, failures


def test_a_killed_node_loses_nothing_and_everybody_comes_back(shared: Scene) -> None:
    """Process durability: what was answered is on the way to the disk; the guardian starts the node anew."""
    shared.worker(2)
    held = shared.send(tasks.hold, str(shared.folder), "held", 7, expect=7)
    shared.started("held")
    generations = []
    with during_load(shared, 60) as accepted:
        for count in (300, 1500):
            accepted(count)
            node = embedded.ensure_running("chaos-shared")
            generations.append(node.generation)
            os.kill(node.server_pid, signal.SIGKILL)
    generations.append(embedded.ensure_running("chaos-shared").generation)
    assert generations == sorted(set(generations)), "each start is a generation of its own"
    shared.let("held")
    shared.check()
    assert len(shared.accepted) == 60 * 51 + 1
    assert held.get(0) == 7
    assert shared.notes() == [f"held {shared.started('held')}"], "what ran went on, and its outcome counted"


def test_a_node_that_was_stopped_is_started_again_by_whoever_needs_it(shared: Scene) -> None:
    shared.worker(1)
    with during_load(shared, 30) as accepted:
        accepted(300)
        first = embedded.ensure_running("chaos-shared")
        assert embedded.stop("chaos-shared")
    second = embedded.ensure_running("chaos-shared")
    assert second.generation > first.generation
    assert second.server_pid != first.server_pid
    shared.check()


def test_killed_connections_are_made_anew(scene: Scene) -> None:
    scene.worker(2)
    with during_load(scene, 60) as accepted:
        for count in range(200, 3000, 200):
            accepted(count)
            for kind in ("normal", "pubsub"):
                scene.node.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    scene.check()


def test_flushed_scripts_are_loaded_again(scene: Scene) -> None:
    scene.worker(2)
    with during_load(scene, 60) as accepted:
        for count in range(100, 3000, 100):
            accepted(count)
            scene.node.execute_command("SCRIPT", "FLUSH")
    scene.check()


def test_a_full_node_refuses_sends_and_nothing_else(make_scene: Callable[..., Scene]) -> None:
    with start_private("full", durability="process") as node:
        scene = make_scene("full", f"unix://{node.socket_path}")
        scene.send_many(tasks.add, [(i, 1) for i in range(500)], range(1, 501))
        limit = scene.node.config_get("maxmemory")["maxmemory"]
        scene.node.config_set("maxmemory", "1mb")
        worker = scene.worker(2)
        with pytest.raises(QueueFull, match="memory is full"):
            scene.task(tasks.add).delay(1, 2)
        with pytest.raises(BatchError) as refused:
            scene.task(tasks.add).starmap([(1, 2), (3, 4)])
        assert len(refused.value.rejected) == 2
        assert not refused.value.unknown
        scene.check()
        assert scene.states() == {"SUCCESS": 500}
        scene.node.config_set("maxmemory", limit)
        refused.value.batch.send()
        for handle, expect in zip(refused.value.results, (3, 7), strict=True):
            scene.enter(handle, expect)
        scene.send(tasks.add, 4, 5, expect=9)
        scene.check()
        assert worker.process.poll() is None
        scene.close()


def test_a_node_that_takes_no_writes_for_a_while_costs_time_only(
    make_scene: Callable[..., Scene],
) -> None:
    """As with a full disk: every write is refused, by an error that passes. No run is charged for it."""
    with start_private("refusing", durability="process") as node:
        scene = make_scene("refusing", f"unix://{node.socket_path}")
        worker = scene.worker(2)
        folder = str(scene.folder)
        held = scene.send(tasks.hold, folder, "held", 1, expect=1)
        scene.started("held")
        waiting = scene.send_many(tasks.trace, [(folder, "waiting", i) for i in range(50)], range(50))
        waiting.get(90)
        key = f"{scene.prefix}w:{scene.live_workers()['worker1']}"
        scene.node.config_set("min-replicas-to-write", 1)
        scene.let("held")
        worker.says("refuses for now")
        with pytest.raises(SendRejected, match="NOREPLICAS"):
            scene.task(tasks.add).delay(1, 2)
        beats = scene.node.hget(key, "beat")
        scene.node.config_set("min-replicas-to-write", 0)
        wait_until(lambda: scene.node.hget(key, "beat") != beats, what="the supervisor beats again")
        scene.send(tasks.add, 1, 2, expect=3)
        scene.check()
        assert scene.crashes(held) == 0
        assert len([line for line in scene.notes() if line.startswith("held")]) == 1
        scene.close()


def test_a_child_that_dies_while_the_node_is_away_is_seen_to_afterwards(
    make_scene: Callable[..., Scene],
) -> None:
    """The guardian is stopped, so the node stays away until the test lets it come back."""
    with start_private("away", durability="process") as node:
        scene = make_scene("away", f"unix://{node.socket_path}")
        worker = scene.worker(1)
        held = scene.send(tasks.hold, str(scene.folder), "held", 1, expect=1)
        child = scene.started("held")
        os.kill(node.guardian_pid, signal.SIGSTOP)
        os.kill(node.server_pid, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
        worker.says("is not back in line yet")
        worker.says("taskmesh.worker: the node did not answer")  # of a beat, too
        os.kill(node.guardian_pid, signal.SIGCONT)
        scene.let("held")
        scene.started("held", times=2)
        scene.check()
        assert scene.crashes(held) == 1
        assert worker.process.poll() is None
        worker.says("the node answers worker worker1 again, after ")
        scene.close()


def test_a_node_that_forgot_everything_is_joined_again(make_scene: Callable[..., Scene]) -> None:
    """Without durability what was accepted is gone, and says so; what comes afterwards works."""
    with start_private("forgetful") as node:
        scene = make_scene("forgetful", f"unix://{node.socket_path}")
        worker = scene.worker(1)
        scene.send(tasks.add, 1, 1, expect=2).get(90)
        scene.accepted.clear()
        server = node.server_pid
        os.kill(server, signal.SIGKILL)
        worker.says("it begins anew")
        scene.send(tasks.add, 2, 2, expect=4)
        scene.check()
        scene.close()
