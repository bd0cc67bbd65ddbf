"""What may run only once, when whoever runs it dies: a dead letter, unless it certainly had not begun."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from taskmesh.errors import TaskDead
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, kill
from tests.support import wait_until


def send_once(scene: Scene, function: Any, *args: Any, expect: Any) -> Any:
    return scene.enter(scene.task(function).apply_async(args, at_most_once=True), expect)


def test_a_killed_child_makes_a_dead_letter_of_what_it_ran_and_its_neighbours_run(scene: Scene) -> None:
    """It ran the second of its claim: the first had ended, those behind had certainly not begun."""
    folder = str(scene.folder)
    scene.worker(1)
    # so that the child takes all of them at once
    scene.send_many(tasks.hold_or_nap, [(folder, "train", 0.0)] * 300, [0.0] * 300)
    scene.settle()
    seconds = [0.0, -1.0, 0.0, 0.0, 0.0]
    calls = [(folder, f"task{i}", s) for i, s in enumerate(seconds)]
    sent = scene.task(tasks.hold_or_nap).starmap(calls, at_most_once=True)
    for handle, s in zip(sent, seconds, strict=True):
        scene.enter(handle, TaskDead if s < 0 else s)
    child = scene.started("task1")
    # outcomes of tiny tasks may wait for each other, some ms at most
    wait_until(lambda: scene.state_of(sent[0]) == "SUCCESS")
    kill(child)
    scene.check()
    assert "at_most_once" in scene.reason(sent[1])
    assert "SIGKILL" in scene.reason(sent[1])
    noted = [line.split()[0] for line in scene.notes() if not line.startswith("train")]
    assert sorted(noted) == [f"task{i}" for i in range(5)]


@pytest.mark.parametrize("pool", ["process", "thread"])
def test_a_dead_machine_makes_a_dead_letter_of_what_it_held(scene: Scene, pool: str) -> None:
    """Its page died with it, so nobody knows what had not begun."""
    folder = str(scene.folder)
    far = scene.worker(1, name="far", pools=() if pool == "process" else ("thread:1",))
    held = send_once(scene, tasks.hold, folder, "held", expect=TaskDead)
    scene.started("held")
    kill(far.pid)
    scene.worker(1, name="heir")
    assert "at_most_once" in scene.reason(held)
    later = send_once(scene, tasks.add, 1, 2, expect=3)
    assert later.get(90) == 3
    scene.check()
    assert len(scene.notes()) == 1


def test_a_worker_that_is_stopped_twice_gives_nothing_back_that_may_have_begun(scene: Scene) -> None:
    worker = scene.worker(1)
    held = send_once(scene, tasks.hold, str(scene.folder), "held", expect=TaskDead)
    scene.started("held")
    worker.send(signal.SIGTERM)
    worker.says("stop")
    worker.send(signal.SIGTERM)
    worker.exit_code()
    assert "at_most_once" in scene.reason(held)
    scene.check()


def test_a_failure_is_an_end(scene: Scene) -> None:
    scene.worker(1)
    leave = send_once(scene, tasks.leave, str(scene.folder), 3, expect=TaskDead)
    assert "exit code 3" in scene.reason(leave)
    scene.check()
    assert len(scene.notes()) == 1
