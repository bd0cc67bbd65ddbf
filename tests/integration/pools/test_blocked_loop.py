"""A task that blocks the event loop is named."""

from __future__ import annotations

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene


def test_a_blocked_loop_is_reported_once_with_the_task_and_its_place(scene: Scene) -> None:
    worker = scene.worker(pools=("async:10",))
    blocking = scene.send(tasks.block_loop, str(scene.folder), "first", 1, expect=1)
    scene.started("first")
    worker.says(f"by task {blocking.id} (tests.apps.worker_tasks.block_loop)")
    worker.says("in await_file")
    assert "has been blocked for 1." in worker.said()
    # a second blocking is reported as well, the first one no more
    scene.let("first")
    blocking.get(90)
    again = scene.send(tasks.block_loop_beside, str(scene.folder), "second", expect=0)
    scene.started("second")
    worker.says(f"by one of task {again.id} (tests.apps.worker_tasks.block_loop_beside)")
    scene.let("second")
    scene.check()
    assert worker.said().count("has been blocked for") == 2
