"""A machine that gives no more threads: what has not begun is given back, and runs when there is one."""

from __future__ import annotations

import pytest

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene


@pytest.mark.parametrize("pool", ["thread:2", "async:2"])
def test_what_no_thread_can_be_started_for_is_charged_nothing(scene: Scene, pool: str) -> None:
    worker = scene.worker(pools=(pool,))
    scene.send(tasks.hold_without_threads, str(scene.folder), "all", 1, expect=1)
    scene.started("all")
    plain = scene.send(tasks.add, 1, 2, expect=3)
    worker.says("goes back, not begun: can't start new thread")
    scene.let("all")
    assert plain.get(90) == 3
    assert len(plain.attempts) == 1
    scene.check()
    assert "died by" not in worker.said()
