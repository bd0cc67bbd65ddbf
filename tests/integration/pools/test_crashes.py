"""A process that ran many messages dies: the guilty one is found, and its neighbours survive."""

from __future__ import annotations

import pytest

from taskmesh.errors import TaskDead
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, kill


@pytest.mark.parametrize("pool", ["thread:60", "async:60"])
def test_the_poison_among_fifty_is_found_and_the_others_succeed(scene: Scene, pool: str) -> None:
    folder = str(scene.folder)
    good = [scene.send(tasks.hold, folder, "good", expect=0) for _ in range(25)]
    poison = scene.send(tasks.segfault_late, folder, "good", expect=TaskDead)
    good += [scene.send(tasks.hold, folder, "good", expect=0) for _ in range(25)]
    scene.worker(pools=(pool,), ready=False)
    scene.check()
    assert "signal 11 (SIGSEGV)" in scene.reason(poison)
    assert scene.crashes(poison) == 3
    assert {scene.crashes(handle) for handle in good} == {0}


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


@pytest.mark.parametrize("pool", ["thread:8", "async:8"])
def test_suspects_run_one_after_the_other(scene: Scene, pool: str) -> None:
    scene.worker(pools=(pool,))
    folder = str(scene.folder)
    sent = [scene.enter(scene.task(tasks.hold_or_span).delay(folder, "it"), str) for _ in range(8)]
    kill(scene.started("it", times=8))
    # one of them may hold once more, until now
    scene.let("it")
    scene.check()
    assert {scene.crashes(handle) for handle in sent} == {0}
    spans = [word for word in scene.notes() if word in ("begin", "end")]
    assert len(spans) >= 14
    assert spans == ["begin", "end"] * (len(spans) // 2)
