"""Pain 5: delayed tasks pile up in the memory of a worker until it is killed, and then in the next one's.

celery/celery#2218, #9849, #10384.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.apps import worker_tasks as tasks
from tests.support import wait_until

GROWTH_BYTES_MAX = 10_000_000


def memory(worker) -> int:
    return sum(process.memory_full_info().uss for process in worker.family())


def test_delayed_messages_wait_on_the_node_and_late_workers_get_their_share(calm, at_scale):
    scene = calm
    worker = scene.worker(2, name="early")
    add = scene.task(tasks.add)
    add.starmap([(n, n) for n in range(500)], ignore_result=True).get(timeout=90, propagate=False)
    before = memory(worker)
    count = at_scale(20_000, 1_000_000)
    eta = datetime.now(UTC) + timedelta(hours=1)
    for start in range(0, count, 10_000):
        add.starmap([(n, 1) for n in range(start, min(start + 10_000, count))], eta=eta, ignore_result=True)
    assert scene.node.zcard(f"{scene.prefix}d") == count
    assert memory(worker) - before < GROWTH_BYTES_MAX
    # what is due now does not wait behind what is due later
    assert add.apply_async((1, 1), countdown=0.05).get(timeout=90) == 2
    scene.worker(2, name="late")
    trace = scene.task(tasks.hold_run)
    due = [trace.apply_async((str(scene.folder), f"due-{n}"), countdown=0.2) for n in range(4)]
    pids = {scene.started(f"due-{n}-0") for n in range(4)}
    assert len(pids) == 4  # all four children, of both workers
    for n in range(4):
        scene.let(f"due-{n}-0")
    assert [result.get(timeout=90) for result in due] == [0] * 4
    wait_until(lambda: memory(worker) - before < GROWTH_BYTES_MAX)
