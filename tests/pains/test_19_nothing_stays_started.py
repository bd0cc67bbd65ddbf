"""Pain 19: work is stuck in "running" after a crash.

procrastinate-org/procrastinate#1518, #740; rq/rq#2015; coleifer/huey#239.
"""

from __future__ import annotations

from collections import Counter

from tests.apps import worker_tasks as tasks
from tests.faults.scene import kill


def test_workers_that_die_and_come_back_under_their_names_leave_no_orphan(scene, at_scale):
    """Half of them come back under the same name on the same host: the incarnation counts, not the name."""
    folder = str(scene.folder)
    for turn in range(at_scale(3, 500)):
        worker = scene.worker(1, name="same" if turn % 2 else f"other-{turn}")
        result = scene.send(tasks.hold_run, folder, f"turn-{turn}", expect=1)
        scene.started(f"turn-{turn}-0")
        kill(worker.pid)
        worker.process.wait(90)
        heir = scene.worker(1, name="same", ready=False)
        scene.started(f"turn-{turn}-1")
        scene.let(f"turn-{turn}-1")
        assert result.get(timeout=90) == 1
        heir.end()
    scene.worker(1, name="last")
    scene.check()
    assert Counter(scene.states()) == {"SUCCESS": len(scene.accepted)}
