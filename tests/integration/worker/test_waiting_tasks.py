"""A task that waits for a task in its own queue is told so, before its worker stands still."""

from __future__ import annotations

import pytest

from tests.faults.scene import ROOT, Scene

APP = """
from tests.apps.worker_life import mesh

@mesh.task(name="inner")
def inner(x):
    return x + 1

@mesh.task(name="outer")
def outer(x, queue):
    return inner.apply_async((x,), queue=queue).get(timeout=90)

@mesh.task(name="outer_of_many")
def outer_of_many(x, queue):
    return inner.map([x], queue=queue).get(timeout=90)[0]

@mesh.task(name="aouter")
async def aouter(x, queue):
    return await (await inner.aapply_async((x,), queue=queue))
"""
WARNING = "waits for task inner, whose queue"


@pytest.fixture
def start(scene: Scene):
    (scene.folder / "waiting_tasks.py").write_text(APP)

    def start(concurrency: int = 1, **options):
        return scene.worker(
            concurrency,
            app="waiting_tasks:mesh",
            path=(str(ROOT), str(scene.folder)),
            log_level="INFO",
            **options,
        )

    return start


def send(scene: Scene, name: str, *args):
    return scene.mesh.task(name=name, typing=False)(print).delay(*args)


@pytest.mark.parametrize("name", ["outer", "outer_of_many", "aouter"])
def test_a_task_is_warned_once_that_waits_for_its_own_worker(scene: Scene, start, name: str) -> None:
    alone = start(queues=("default",))
    first = send(scene, name, 1, "default")
    alone.says(f"task {name} {WARNING} 'default' is served by the same worker")
    start(queues=("default",))  # it goes on as soon as somebody else is there
    assert first.get(90) == 2
    assert send(scene, name, 2, "default").get(90) == 3
    assert alone.said().count(WARNING) == 1


def test_no_task_is_warned_whose_subtasks_have_workers_of_their_own(scene: Scene, start) -> None:
    worker = start(queues=("default",))
    start(queues=("inner",))
    assert send(scene, "outer", 1, "inner").get(90) == 2
    assert WARNING not in worker.said()


def test_no_task_is_warned_that_runs_among_others(scene: Scene, start) -> None:
    worker = start(pools=("thread:4",))
    assert send(scene, "outer", 1, "default").get(90) == 2
    assert WARNING not in worker.said()
