"""Pain 20: priorities do not do what was asked.

celery/celery#4028, #8967 (50 is cut to 9, which on Redis is the least urgent), #7633.
"""

from __future__ import annotations

import random

import pytest

from taskmesh.errors import UsageError
from tests.apps import worker_tasks as tasks


def test_the_order_of_running_is_a_sort(scene, at_scale):
    chance = random.Random(20)
    trace = scene.task(tasks.trace)
    wanted = [(chance.randrange(10), n) for n in range(at_scale(200, 20_000))]
    for priority, n in wanted:
        result = trace.apply_async((str(scene.folder), f"{priority}-{n}", n), priority=priority)
        scene.enter(result, n)
    scene.worker(1)
    scene.check(timeout_s=at_scale(120, 600))
    ordered = sorted(wanted, key=lambda item: (-item[0], item[1]))
    assert scene.notes() == [f"{priority}-{n}" for priority, n in ordered]


def test_what_comes_later_and_is_more_urgent_goes_first(scene):
    """One runs; nothing that waits has been taken away by a prefetch that would turn the order round."""
    scene.worker(1)
    folder, trace = str(scene.folder), scene.task(tasks.trace)
    held = scene.send(tasks.hold, folder, "held", expect=0)
    scene.started("held")
    for priority in (1, 5, 9):
        scene.enter(trace.apply_async((folder, f"{priority}"), priority=priority), 0)
    scene.let("held")
    assert held.get(timeout=90) == 0
    scene.check()
    assert [line for line in scene.notes() if line.isdigit()] == ["9", "5", "1"]


@pytest.mark.parametrize("priority", [50, -1, 4.5])
def test_out_of_range_is_refused(scene, priority):
    with pytest.raises(UsageError, match="0 to 9"):
        scene.task(tasks.add).apply_async((1, 2), priority=priority)
