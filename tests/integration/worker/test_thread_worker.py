"""The worker of tests signs off in order."""

from __future__ import annotations

import threading

import pytest

from taskmesh import TaskMesh
from taskmesh.testing.thread_worker import ThreadWorker
from taskmesh.worker.presence import Presence

pytestmark = pytest.mark.needs_server


def test_it_beats_no_more_when_it_signs_off(mesh: TaskMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat that came after would be that of a worker which the node does not know."""
    alive: list[str] = []
    leave = Presence.leave

    def look_and_leave(presence: Presence) -> None:
        alive.extend(thread.name for thread in threading.enumerate() if thread.name.endswith("-heart"))
        leave(presence)

    monkeypatch.setattr(Presence, "leave", look_and_leave)
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    with ThreadWorker(mesh):
        assert task.delay(1, 2).get(timeout=90) == 3
    assert alive == []
