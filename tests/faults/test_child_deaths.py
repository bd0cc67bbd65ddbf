"""A child dies in a task: its neighbours are not touched, and the right message is charged."""

from __future__ import annotations

import pytest

from taskmesh.errors import TaskDead
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, kill
from tests.support import wait_until


def test_a_killed_child_costs_its_message_one_crash_and_nobody_else_any(scene: Scene) -> None:
    """It ran the second of its claim: that one is charged; the others run again at once, uncharged."""
    folder = str(scene.folder)
    scene.worker(1)
    # so that the child takes all of them at once
    scene.send_many(tasks.hold_or_nap, [(folder, "train", 0.0)] * 300, [0.0] * 300)
    scene.settle()
    seconds = [0.0, -1.0, 0.0, 0.0, 0.0]
    sent = scene.send_many(
        tasks.hold_or_nap, [(folder, f"task{i}", s) for i, s in enumerate(seconds)], seconds
    )
    kill(scene.started("task1"))
    scene.started("task1", times=2)
    scene.let("task1")
    scene.check()
    assert [scene.crashes(handle) for handle in sent] == [0, 1, 0, 0, 0]


def test_three_kills_make_a_dead_letter_whose_reason_names_the_signal(scene: Scene) -> None:
    folder = str(scene.folder)
    worker = scene.worker(2)
    held = scene.send(tasks.hold, folder, "held", expect=TaskDead)
    for times in (1, 2, 3):
        kill(scene.started("held", times))
        neighbours = scene.send_many(
            tasks.add, [(i, times) for i in range(20)], [i + times for i in range(20)]
        )
        neighbours.get(90)
    assert "died 3 times" in scene.reason(held)
    assert "signal 9 (SIGKILL)" in scene.reason(held)
    scene.check()
    assert scene.crashes(held) == 3
    assert worker.process.poll() is None


def test_a_task_that_dies_once_runs_again_and_knows_of_it(scene: Scene) -> None:
    scene.worker(1)
    sent = scene.send(tasks.kill_itself_once, str(scene.folder), 5, expect=5)
    scene.check()
    assert (sent.crashes, len(sent.attempts)) == (1, 1)
    assert scene.notes() == ["crashes 0", "crashes 1"]


@pytest.mark.parametrize("code", [0, 1, 70, 71, 72, 73])
def test_a_task_that_exits_the_process_is_given_up_whatever_the_exit_code(scene: Scene, code: int) -> None:
    """Also with 0, and with the codes by which children tell their supervisor something else."""
    worker = scene.worker(1)
    left = scene.send(tasks.leave, str(scene.folder), code, expect=TaskDead)
    neighbours = scene.send_many(tasks.add, [(i, i) for i in range(10)], [2 * i for i in range(10)])
    neighbours.get(90)
    assert f"exit code {code}" in scene.reason(left)
    assert (left.crashes, left.attempts) == (3, [])
    assert neighbours[0].crashes == 0
    assert len(scene.notes()) == 3
    scene.check()
    assert worker.process.poll() is None
    assert len(scene.live_workers()) == 1


def test_segfaults_are_given_up_and_delay_nobody(scene: Scene) -> None:
    """Twelve poisonous messages are thirty-six deaths; no pause between lives may add up."""
    scene.worker(1)
    poison = [scene.send(tasks.segfault, str(scene.folder), expect=TaskDead) for _ in range(12)]
    neighbours = scene.send_many(tasks.add, [(i, 0) for i in range(50)], range(50))
    neighbours.get(90)
    assert all("signal 11 (SIGSEGV)" in scene.reason(handle) for handle in poison)
    scene.check()


def test_what_is_no_exception_is_a_failure_all_the_same(scene: Scene) -> None:
    """`asyncio.CancelledError` leaks out of many a library."""
    scene.worker(1)
    cancelled = scene.send(tasks.cancel, expect=Exception)
    cancelled.get(90, propagate=False)
    assert scene.state_of(cancelled) == "FAILURE"
    assert scene.crashes(cancelled) == 0
    scene.check()


def test_a_dead_child_is_replaced_and_forgotten_as_idle(scene: Scene) -> None:
    worker = scene.worker(2)
    wait_until(lambda: scene.idle() == 2)
    template = worker.template()
    children = [process.pid for process in worker.family() if process.ppid() == template]
    assert len(children) == 2
    for pid in children:
        kill(pid)
    wait_until(
        lambda: scene.children_of("worker1") == 4 and scene.idle() == 2, what="two new children are idle"
    )
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()


def test_what_is_said_of_deaths_is_true_and_names_the_task(scene: Scene) -> None:
    worker = scene.worker(1)
    scene.send(tasks.segfault, str(scene.folder), expect=TaskDead)
    scene.check()
    worker.says("becomes a dead letter")
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()
    said = worker.said()
    assert said.count("1 message is back in line, which child ") == 2, "after the third it does not go back"
    assert said.count(f"({tasks.__name__}.segfault) was running when its process died") == 2
    assert f"({tasks.__name__}.segfault) becomes a dead letter" in said


def test_a_child_of_many_is_told_by_a_small_number(scene: Scene) -> None:
    worker = scene.worker(pools=("thread:4",))
    scene.send(tasks.segfault, str(scene.folder), expect=TaskDead)
    worker.says("child 1 of worker worker1 died by")
    scene.check()
