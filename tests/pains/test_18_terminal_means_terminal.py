"""Pain 18: a finished task is later marked failed, or overwritten by a worker that was thought dead.

rq/rq#2424, #2289; Celery 5.7.0 #10752, #10920, #10922.
"""

from __future__ import annotations

import signal

import pytest

from taskmesh.errors import TaskRevoked
from tests.apps import worker_tasks as tasks
from tests.support import wait_until


def test_a_worker_that_comes_back_overwrites_nothing(scene, at_scale):
    for turn in range(at_scale(1, 20)):
        zombie = scene.worker(1, name=f"zombie-{turn}")
        result = scene.send(tasks.hold_run, str(scene.folder), f"turn-{turn}", expect=1)
        scene.started(f"turn-{turn}-0")
        zombie.signal_all(signal.SIGSTOP)
        heir = scene.worker(1, name=f"heir-{turn}", ready=False)
        scene.started(f"turn-{turn}-1")
        scene.let(f"turn-{turn}-1")
        assert result.get(timeout=90) == 1
        scene.look()
        scene.let(f"turn-{turn}-0")
        zombie.signal_all(signal.SIGCONT)
        zombie.says("declared dead")
        scene.look()
        assert scene.mesh.result(result.id).get(timeout=90) == 1
        for worker in (zombie, heir):
            worker.send(signal.SIGTERM)
            assert worker.exit_code() == 0


def test_what_has_ended_cannot_be_revoked_and_what_is_revoked_does_not_run(scene):
    scene.worker(1)
    done = scene.send(tasks.add, 1, 2, expect=3)
    assert done.get(timeout=90) == 3
    assert done.revoke() is False
    assert scene.mesh.result(done.id).get(timeout=90) == 3
    held = scene.send(tasks.hold, str(scene.folder), "held", expect=0)
    scene.started("held")
    waiting = scene.task(tasks.trace).delay(str(scene.folder), "revoked")
    assert waiting.revoke() is True
    scene.let("held")
    assert held.get(timeout=90) == 0
    with pytest.raises(TaskRevoked):
        waiting.get(timeout=90)
    last = scene.send(tasks.add, 1, 1, expect=2)
    wait_until(last.ready)
    assert "revoked" not in scene.notes()
