"""Hooks, retries, replacement by age and the way children are started, in pools that run many at once."""

from __future__ import annotations

import signal

import pytest

from tests.apps import pool_tasks, worker_tasks
from tests.faults.scene import Scene, Worker
from tests.support import wait_until

KINDS = ("thread:20", "async:20")


def begin(scene: Scene, pool: str, **options: object) -> Worker:
    for function in (pool_tasks.flaky, pool_tasks.flaky_async, pool_tasks.in_which_thread):
        scene.mesh.task(function)
    for function in (pool_tasks.exit_beside, pool_tasks.stop_iteration):
        scene.mesh.task(function)
    env = {"TASKMESH_TEST_POOLS": str(scene.folder)}
    return scene.worker(app="tests.apps.pool_tasks:mesh", pools=(pool,), env=env, **options)


@pytest.mark.parametrize("pool", KINDS)
def test_hooks_are_called_also_those_that_await(scene: Scene, pool: str) -> None:
    worker = begin(scene, pool)
    folder = str(scene.folder)
    sent = [scene.send(worker_tasks.hold_async, folder, f"m{i}", i, expect=i) for i in range(5)]
    sent.append(scene.send(worker_tasks.trace, folder, "m5 0", 5, expect=5))
    for i in range(6):
        scene.started(f"m{i}")
        scene.let(f"m{i}")
    scene.check()
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    notes = scene.notes()
    assert (notes[0], notes[-1]) == ("start True", "stop")
    for i, handle in enumerate(sent):
        ran = [line.split()[0] for line in notes].index(f"m{i}")
        assert notes.index(f"before {handle.id} {handle.id}") < ran
        assert ran < notes.index(f"success {handle.id} {i}")


@pytest.mark.parametrize("pool", KINDS)
def test_what_fails_is_tried_again_and_hooks_are_told(scene: Scene, pool: str) -> None:
    begin(scene, pool)
    sent = []
    for function in (pool_tasks.flaky, pool_tasks.flaky_async):
        sent.append((scene.send(function, 2, expect=3), 2, "success 3"))
        sent.append((scene.send(function, 9, expect=OSError), 3, "failure attempt 4"))
    scene.check()
    for handle, retries, end in sent:
        told = [line.replace(f" {handle.id}", "") for line in scene.notes() if handle.id in line]
        repeated = [word for n in range(1, retries + 1) for word in ("before", f"retry attempt {n}")]
        assert told == [*repeated, "before", end]


@pytest.mark.parametrize("pool", KINDS)
def test_a_child_is_replaced_after_so_many_tasks_and_runs_no_more(scene: Scene, pool: str) -> None:
    worker = begin(scene, pool, max_tasks_per_child=10)
    scene.send_many(worker_tasks.add, [(i, 0) for i in range(35)], range(35))
    scene.check()
    wait_until(lambda: scene.notes().count("stop") == 3)
    wait_until(lambda: worker.said().count("it has run 10 tasks (max_tasks_per_child)") == 3)


@pytest.mark.parametrize("pool", KINDS)
def test_children_may_import_the_app_themselves(scene: Scene, pool: str) -> None:
    begin(scene, pool, start_method="spawn")
    scene.send_many(worker_tasks.add, [(i, 1) for i in range(50)], range(1, 51))
    scene.check()


def test_what_a_task_leaves_on_the_loop_cannot_end_it(scene: Scene) -> None:
    worker = begin(scene, "async:20")
    held = scene.send(worker_tasks.hold_async, str(scene.folder), "held", 1, expect=1)
    pid = scene.started("held")
    scene.send(pool_tasks.exit_beside, expect=3).get(90)
    scene.send(pool_tasks.stop_iteration, expect=RuntimeError).get(90, propagate=False)
    scene.let("held")
    scene.check()
    assert scene.crashes(held) == 0
    assert pid in {process.pid for process in worker.family()}


def test_plain_functions_run_beside_the_loop(scene: Scene) -> None:
    begin(scene, "async:20")
    name = scene.task(pool_tasks.in_which_thread).delay().get(90)
    assert name.startswith("taskmesh_")
