"""What a running task tells of itself, read by its callers while it runs, and gone when it has ended."""

from __future__ import annotations

from typing import Any

from taskmesh import Progress
from taskmesh.errors import TaskRevoked
from taskmesh.queue.telling import note_telling
from tests.apps import limited_tasks as limited
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, kill
from tests.support import wait_until


def test_progress_is_read_while_the_task_runs_and_gone_when_it_has_ended(scene: Scene) -> None:
    scene.worker(1)
    handle = scene.send(limited.tell, str(scene.folder), "tell", expect="told")
    elsewhere: Any = scene.mesh.result(handle.id)
    scene.started("tell")
    # the last of very many, told within a moment, gets through
    wait_until(lambda: handle.progress == Progress(999, 1000, "line 999"), what="the last is read")
    assert elsewhere.progress.fraction == 0.999
    assert (handle.state, elsewhere.state) == ("READING", "READING")
    assert handle.info == elsewhere.result == {"file": "a.txt", "size": 3}
    assert not handle.ready()
    assert scene.state_of(handle) == "STARTED"
    scene.let("tell")
    assert handle.get(90) == "told"
    assert (handle.progress, handle.state, handle.info) == (None, "SUCCESS", "told")
    assert (elsewhere.progress, elsewhere.state, elsewhere.result) == (None, "SUCCESS", "told")
    assert scene.node.hlen(f"{scene.prefix}tellings") == 0
    scene.check()


def test_a_bound_task_tells_as_in_celery(scene: Scene) -> None:
    scene.worker(1)
    handle = scene.send(limited.tell_bound, str(scene.folder), "bound", expect="told")
    scene.started("bound")
    wait_until(lambda: handle.state == "PROGRESS", what="its state is shown")
    assert handle.info == {"current": 1, "total": 2}
    scene.let("bound")
    scene.check()


def test_what_the_last_run_told_is_not_shown_of_the_next(scene: Scene) -> None:
    scene.worker(1)
    handle = scene.send(limited.tell_once, str(scene.folder), "once", expect=1)
    pid = scene.started("once-0")
    wait_until(lambda: handle.progress == Progress(0), what="the first run is read")
    kill(pid)
    scene.started("once-1")
    assert (handle.progress, handle.state, handle.info) == (None, "STARTED", None)
    scene.let("once-1")
    scene.check()


def test_a_run_that_lost_its_lease_tells_nobody(scene: Scene) -> None:
    scene.worker(1)
    handle = scene.send(tasks.hold, str(scene.folder), "held", expect=0)
    scene.started("held")
    record = scene.record(handle.id)
    assert record is not None
    link = scene.mesh.link.open()
    other = record.token[:-1] + ("0" if record.token[-1] != "0" else "1")
    assert not link.run(note_telling(link.session, handle.id, other, b"anything"))
    assert not link.run(note_telling(link.session, "unknown", record.token, b"anything"))
    assert handle.progress is None
    scene.let("held")
    scene.check()


def test_what_is_revoked_while_it_runs_leaves_no_report(scene: Scene) -> None:
    scene.worker(1)
    handle = scene.send(limited.tell, str(scene.folder), "tell", expect=TaskRevoked)
    wait_until(lambda: handle.progress is not None, what="it tells")
    handle.revoke(terminate=True)
    scene.check()
    assert scene.node.hlen(f"{scene.prefix}tellings") == 0
    assert handle.progress is None
