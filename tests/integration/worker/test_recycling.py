"""Children are replaced by age, and nobody notices."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.apps import worker_tasks
from tests.faults.scene import Scene, Worker
from tests.support import wait_until

APP = "tests.apps.worker_life:mesh"


def pids(scene: Scene, count: int) -> Counter[int]:
    """Have so many tasks tell which process ran them."""
    return Counter(scene.mesh.task(name="life.pid")(print).starmap([()] * count).get(90))


def warnings(worker: Worker) -> list[str]:
    """Return what a worker warned of, but for a node that a busy machine kept from answering in time."""
    lines = worker.said().splitlines()
    return [line for line in lines if "WARNING" in line and "child" in line]


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_child_is_replaced_after_so_many_tasks(scene: Scene, start_method: str) -> None:
    worker = scene.worker(1, app=APP, log_level="INFO", max_tasks_per_child=4, start_method=start_method)
    runs = pids(scene, 12)
    assert sorted(runs.values()) == [4, 4, 4]
    worker.says("is replaced: it has run 4 tasks (max_tasks_per_child)")
    assert warnings(worker) == []
    assert "died" not in worker.said()


def test_messages_come_to_their_ends_whatever_the_age(scene: Scene) -> None:
    scene.worker(2, max_tasks_per_child=3)
    scene.send_many(worker_tasks.add, [(i, 1) for i in range(60)], [i + 1 for i in range(60)])
    scene.check()


def test_a_setting_says_so_for_every_worker(scene: Scene) -> None:
    scene.worker(1, app=APP, env={"TASKMESH_MAX_TASKS_PER_CHILD": "2"})
    assert sorted(pids(scene, 6).values()) == [2, 2, 2]


def test_a_burst_goes_on_after_a_child_has_retired(scene: Scene) -> None:
    sent = [scene.send(worker_tasks.add, i, i, expect=2 * i) for i in range(5)]
    worker = scene.worker(1, burst=True, max_tasks_per_child=1, ready=False)
    assert worker.exit_code() == 0
    assert [handle.get(90) for handle in sent] == [0, 2, 4, 6, 8]


def test_a_child_that_holds_too_much_memory_is_replaced(scene: Scene) -> None:
    worker = scene.worker(1, app=APP, log_level="INFO", max_memory_per_child=100 << 20)
    leak = scene.mesh.task(name="life.leak")(print)
    first = leak.delay(1).get(90)
    assert leak.delay(150).get(90) == first  # small enough before, and too large from now on
    # looked at once a second at most
    wait_until(lambda: leak.delay(0).get(90) != first, what="another child answers")
    worker.says("and max_memory_per_child is 104.9 MB")
    assert warnings(worker) == []


def test_memory_that_is_shared_with_the_template_does_not_count(scene: Scene) -> None:
    """Else an app that loads much would have its children replaced for ever."""
    scene.worker(
        1, app=APP, max_memory_per_child=100 << 20, env={"TASKMESH_TEST_LIFE": "large"}, start_method="fork"
    )
    assert len(pids(scene, 5)) == 1
