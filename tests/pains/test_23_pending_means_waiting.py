"""Pain 23: PENDING means both "queued" and "never heard of it".

celery/celery#4450, #3596.
"""

from __future__ import annotations

import uuid

import pytest

from taskmesh.errors import ResultExpired, TaskNotFound
from tests.apps import worker_tasks as tasks
from tests.support import wait_until


def test_every_state_is_told_apart(scene):
    folder = str(scene.folder)
    with pytest.raises(TaskNotFound):
        _ = scene.mesh.result(str(uuid.uuid4())).state
    with pytest.raises(TaskNotFound):
        scene.mesh.result("no-such-task").get(timeout=90)
    result = scene.send(tasks.hold, folder, "told", expect=0)
    found = scene.mesh.result(result.id)
    assert found.state == "PENDING"
    scene.worker(1)
    scene.started("told")
    wait_until(lambda: found.state == "STARTED")
    scene.let("told")
    assert found.get(timeout=90) == 0
    assert found.state == "SUCCESS"
    later = scene.task(tasks.add).apply_async((1, 2), countdown=3600)
    assert scene.mesh.result(later.id).state == "SCHEDULED"


def test_one_whose_result_was_removed_is_another_thing_again(scene):
    scene.worker(1)
    result = scene.task(tasks.add).delay(1, 2)
    assert result.get(timeout=90) == 3
    result.forget()
    with pytest.raises(ResultExpired):
        scene.mesh.result(result.id).get(timeout=90)
