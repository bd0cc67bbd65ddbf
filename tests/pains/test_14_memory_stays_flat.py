"""Pain 14: memory grows in workers and in those who send.

celery/celery#4843, #8521, #3436.
"""

from __future__ import annotations

import gc

import psutil

from tests.apps import worker_tasks as tasks
from tests.pains.conftest import children_of

#: Bytes per task after the warm-up: 1 MB per million tasks would be one.
GROWTH_PER_TASK_MAX = 30.0


def test_workers_and_senders_do_not_grow_with_what_passes_through_them(scene, at_scale):
    worker = scene.worker(1)
    add = scene.task(tasks.add)
    us = psutil.Process()
    count = at_scale(20_000, 1_000_000)

    def run(n: int) -> None:
        for _ in range(0, n, 2000):
            assert len(add.starmap([(1, 2)] * 2000).get(timeout=120)) == 2000
        gc.collect()

    def measured() -> dict[str, int]:
        (child,) = children_of(worker)
        return {
            "sender": us.memory_full_info().uss,
            "supervisor": worker.supervisor.memory_full_info().uss,
            "child": child.memory_full_info().uss,
        }

    run(count)
    before = measured()
    run(count)
    grown = {name: (now - before[name]) / count for name, now in measured().items()}
    assert max(grown.values()) < GROWTH_PER_TASK_MAX, grown
