"""A worker that has as many children as there is work for, between two bounds."""

from __future__ import annotations

from taskmesh.cli.worker_list import workers_of
from taskmesh.queue.manage import status
from taskmesh.queue.workers import declare_dead, tell
from tests.apps import worker_tasks
from tests.faults.scene import Scene
from tests.support import wait_until


def children(scene: Scene) -> int:
    """Return the number that `taskmesh workers` shows."""
    link = scene.mesh.link
    (worker,) = workers_of(link.run(status(link.session)))
    return worker.children


def test_it_grows_with_the_work_and_shrinks_without(scene: Scene) -> None:
    folder = str(scene.folder)
    worker = scene.worker(1, children_max=3, children_min=1, idle_s=0.5)
    assert children(scene) == 1
    held = [scene.send(worker_tasks.hold, folder, f"held{i}", i, expect=i) for i in range(5)]
    for i in range(3):
        scene.started(f"held{i}")  # three at once
    wait_until(lambda: children(scene) == 3, what="the mesh knows")
    # one of them goes on while the others have nothing left to do
    for i in (1, 2, 3, 4):
        scene.let(f"held{i}")
    wait_until(lambda: all(handle.ready() for handle in held[1:]), what="four have ended")
    wait_until(lambda: children(scene) == 1, what="idle children have been dismissed")
    wait_until(lambda: len(worker.family()) == 3, what="supervisor, template and one child are left")
    worker.says("has 1 children now, 2 before")
    assert not held[0].ready()
    scene.let("held0")
    scene.check()
    assert scene.crashes(held[0]) == 0
    assert "died by" not in worker.said()


def test_a_worker_that_was_declared_dead_does_not_come_to_life_by_what_it_tells(scene: Scene) -> None:
    scene.worker(1)
    link = scene.mesh.link.open()
    incarnation = scene.live_workers()["worker1"].encode()
    assert link.run(tell(link.session, incarnation, b'{"name": "changed"}')) is True
    assert "changed" in scene.live_workers()
    key = f"{scene.prefix}w:{incarnation.decode()}"
    while not link.run(declare_dead(link.session, incarnation, int(scene.node.hget(key, "beat")))):
        pass
    assert link.run(tell(link.session, incarnation, b'{"name": "alive"}')) is False
    assert b"alive" not in (scene.node.hget(key, "info") or b"")
