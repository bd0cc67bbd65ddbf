"""Children that are processes of their own: asked for, or because the app's import started a thread."""

from __future__ import annotations

import signal

import pytest

from taskmesh.errors import TaskDead
from tests.apps import worker_tasks as tasks
from tests.faults.nemesis import is_alive
from tests.faults.scene import Scene, Worker, is_gone, kill
from tests.support import wait_until

ASKED = {"TASKMESH_START_METHOD": "spawn"}
NEEDED = {"TASKMESH_TEST_THREAD": "1"}


def entries(worker: Worker) -> list[str]:
    """Return which modules the worker's processes were started with; one that is ending has none."""
    words = [process.cmdline() for process in worker.family()[1:] if is_alive(process)]
    return [line[line.index("-m") + 1] for line in words if "-m" in line]


@pytest.mark.parametrize("why", ["asked", "needed"])
def test_children_are_spawned(scene: Scene, why: str) -> None:
    """The template goes when it has told what it found; no child has a thread of another's import."""
    worker = scene.worker(2, env=ASKED if why == "asked" else NEEDED)
    wait_until(lambda: entries(worker) == ["taskmesh.cli.child"] * 2, what="the template is gone")
    assert ("importing tests.apps.worker_chaos:mesh started threads (of-the-app)" in worker.said()) is (
        why == "needed"
    )
    scene.send_many(tasks.add, [(i, 1) for i in range(50)], range(1, 51))
    scene.check()
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0


def test_forking_can_be_insisted_on(scene: Scene) -> None:
    worker = scene.worker(1, env=NEEDED | {"TASKMESH_START_METHOD": "fork"})
    assert entries(worker) == ["taskmesh.cli.template"] * 2
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()


def test_a_start_method_that_does_not_exist_is_refused(scene: Scene) -> None:
    worker = scene.worker(1, env={"TASKMESH_START_METHOD": "forkserver"}, ready=False)
    assert worker.exit_code() == 2
    assert "start method 'forkserver' (TASKMESH_START_METHOD) should be fork or spawn" in worker.said()


def test_deaths_of_spawned_children_are_noticed_by_the_supervisor(scene: Scene) -> None:
    folder = str(scene.folder)
    scene.worker(1, env=ASKED)
    killed = scene.send(tasks.kill_itself_once, folder, 5, expect=5)
    left = scene.send(tasks.leave, folder, 0, expect=TaskDead)
    neighbours = scene.send_many(tasks.add, [(i, 0) for i in range(20)], range(20))
    neighbours.get(90)
    scene.check()
    assert scene.crashes(killed) == 1
    assert "exit code 0" in scene.reason(left)


def test_spawned_children_die_with_their_supervisor_and_stop_with_it(scene: Scene) -> None:
    worker = scene.worker(2, env=ASKED)
    family = [process.pid for process in worker.family()]
    kill(worker.pid)
    wait_until(lambda: all(is_gone(pid) for pid in family), what="no process is left")
    worker = scene.worker(1, name="second", env=ASKED)
    held = scene.send(tasks.hold, str(scene.folder), "held", expect=0)
    scene.started("held")
    worker.send(signal.SIGTERM)
    worker.says("stops: running tasks have")
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert scene.state_of(held) == "PENDING"
    scene.let("held")
    assert scene.worker(1, name="third", env=ASKED, burst=True, ready=False).exit_code() == 0
    scene.check()
    assert scene.crashes(held) == 0
