"""A process that ran many messages dies: the guilty one is found, and its neighbours survive."""

from __future__ import annotations

import pytest

from taskmesh.errors import TaskDead
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, kill


@pytest.mark.parametrize("pool", ["thread:60", "async:60"])
def test_the_poison_among_fifty_is_found_and_the_others_succeed(scene: Scene, pool: str) -> None:
    poison = scene.send(tasks.segfault, str(scene.folder), expect=TaskDead)
    others = scene.send_many(tasks.nap, [(str(scene.folder), f"n{i}", 0.05) for i in range(50)], [0.05] * 50)
    scene.worker(pools=(pool,), ready=False)
    scene.check()
    assert "signal 11 (SIGSEGV)" in scene.reason(poison)
    assert scene.crashes(poison) == 3
    assert {scene.crashes(handle) for handle in others} == {0}


def test_who_runs_alone_is_charged_at_once(scene: Scene) -> None:
    scene.worker(pools=("thread:8",))
    held = scene.send(tasks.hold_run, str(scene.folder), "held", expect=1)
    kill(scene.started("held-0"))
    scene.started("held-1")
    scene.let("held-1")
    scene.check()
    assert scene.crashes(held) == 1


def test_who_ran_in_company_is_not_charged(scene: Scene) -> None:
    scene.worker(pools=("async:8",))
    sent = [scene.send(tasks.hold_async, str(scene.folder), f"h{i}", i, expect=i) for i in range(4)]
    pids = [scene.started(f"h{i}") for i in range(4)]
    kill(pids[0])
    for i in range(4):
        scene.let(f"h{i}")
    scene.check()
    assert [scene.crashes(handle) for handle in sent] == [0, 0, 0, 0]
