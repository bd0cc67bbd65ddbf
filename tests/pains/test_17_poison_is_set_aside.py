"""Pain 17: a task that kills its worker is redelivered for ever, or vanishes.

Bogdanp/dramatiq#213, celery/celery#1628.
"""

from __future__ import annotations

import pytest

from taskmesh.errors import TaskDead
from tests.apps import worker_tasks as tasks


@pytest.mark.parametrize("poison", ["segfault", "leave"])
def test_it_runs_three_times_and_its_neighbours_once(scene, at_scale, poison):
    scene.worker(2)
    folder, neighbours = str(scene.folder), at_scale(40, 1000)
    before = scene.send_many(
        tasks.trace, [(folder, f"before-{n}", n) for n in range(neighbours)], range(neighbours)
    )
    args = (folder,) if poison == "segfault" else (folder, 9)
    bad = scene.send(getattr(tasks, poison), *args, expect=TaskDead)
    after = scene.send_many(
        tasks.trace, [(folder, f"after-{n}", n) for n in range(neighbours)], range(neighbours)
    )
    scene.check()
    notes = scene.notes()
    assert sum(line.startswith(poison) for line in notes) == 3
    for n in range(neighbours):
        # what waited behind it in one claim had not begun
        assert notes.count(f"before-{n}") == notes.count(f"after-{n}") == 1
    reason = scene.reason(bad)
    assert ("SIGSEGV" if poison == "segfault" else "exit code 9") in reason
    assert len(before) == len(after) == neighbours
    # the slots are back
    held = [scene.send(tasks.hold, folder, f"slot-{n}", n, expect=n) for n in range(2)]
    for n in range(2):
        scene.started(f"slot-{n}")
        scene.let(f"slot-{n}")
    assert [result.get(timeout=90) for result in held] == [0, 1]
