"""Pain 21: a long task holds others hostage, which were taken together with it.

celery/celery#6500, #2788, #9279.
"""

from __future__ import annotations

from tests.apps import worker_tasks as tasks
from tests.support import wait_until


def test_short_tasks_finish_while_long_ones_that_were_claimed_with_them_run(scene, at_scale):
    """The first tasks teach the children to claim many at once; then long ones come among the short."""
    children = 4
    scene.worker(children)
    folder = str(scene.folder)
    warm = scene.send_many(tasks.hold_or_nap, [(folder, "tiny", 0.0)] * 2000, [0.0] * 2000)
    warm.get(timeout=90)
    long = children - 1
    calls = []
    for n in range(long):
        calls += [(folder, f"long-{n}", -1.0), *[(folder, f"short-{n}", 0.0)] * at_scale(30, 300)]
    sent = scene.send_many(tasks.hold_or_nap, calls, [call[2] for call in calls])
    short = [result for result, call in zip(sent, calls, strict=True) if call[2] == 0.0]
    wait_until(lambda: all(result.ready() for result in short), what="the short ones have run")
    for n in range(long):
        scene.started(f"long-{n}")
        scene.let(f"long-{n}")
    scene.check()
