"""A worker may have so many queues that neither a script nor one message to its template holds them easily."""

from __future__ import annotations

import pytest

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene

QUEUES = tuple(f"{number:04d}".ljust(70, "q") for number in range(1000))


@pytest.mark.parametrize("strategy", ["round-robin", "priority"])
def test_a_worker_of_a_thousand_queues_serves_each(scene: Scene, strategy: str) -> None:
    add = scene.task(tasks.add)
    chosen = QUEUES[::111]
    for number, queue in enumerate(chosen):
        scene.enter(add.apply_async((number, 1), queue=queue), number + 1)
    scene.worker(2, queues=QUEUES, strategy=strategy)
    for number, queue in enumerate(chosen):
        scene.enter(add.apply_async((number, 2), queue=queue), number + 2)
    scene.check()
