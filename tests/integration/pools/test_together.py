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
    sent = [scene.send(worker_tasks.nap_async, 0.01, i, expect=i) for i in range(5)]
    sent.append(scene.send(worker_tasks.add, 2, 3, expect=5))
    scene.check()
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    notes = scene.notes()
    assert (notes[0], notes[-1]) == ("start True", "stop")
    for handle in sent:
        assert f"before {handle.id} {handle.id}" in notes
        assert f"success {handle.id} {handle.get(0)}" in notes


@pytest.mark.parametrize("pool", KINDS)
def test_what_fails_is_tried_again(scene: Scene, pool: str) -> None:
    begin(scene, pool)
    for function in (pool_tasks.flaky, pool_tasks.flaky_async):
        scene.send(function, 2, expect=3)
        scene.send(function, 9, expect=OSError)
    scene.check()


@pytest.mark.parametrize("pool", KINDS)
def test_a_child_is_replaced_after_so_many_tasks_and_runs_no_more(scene: Scene, pool: str) -> None:
    worker = begin(scene, pool, max_tasks_per_child=10)
    scene.send_many(worker_tasks.add, [(i, 0) for i in range(35)], range(35))
    scene.check()
    wait_until(lambda: scene.notes().count("stop") == 3)
    assert worker.said().count("it has run 10 tasks (max_tasks_per_child)") == 3


@pytest.mark.parametrize("pool", KINDS)
def test_children_may_import_the_app_themselves(scene: Scene, pool: str) -> None:
    begin(scene, pool, start_method="spawn")
    scene.send_many(worker_tasks.add, [(i, 1) for i in range(50)], range(1, 51))
    scene.check()


def test_what_a_task_leaves_on_the_loop_cannot_end_it(scene: Scene) -> None:
    worker = begin(scene, "async:20")
    held = scene.send(worker_tasks.hold_async, str(scene.folder), "held", 1, expect=1)
    pid = scene.started("held")
    scene.send(pool_tasks.exit_beside, expect=3).get(20)
    scene.send(pool_tasks.stop_iteration, expect=RuntimeError).get(20, propagate=False)
    scene.let("held")
    scene.check()
    assert scene.crashes(held) == 0
    assert pid in {process.pid for process in worker.family()}


def test_plain_functions_run_beside_the_loop(scene: Scene) -> None:
    begin(scene, "async:20")
    name = scene.task(pool_tasks.in_which_thread).delay().get(20)
    assert name.startswith("taskmesh_")
