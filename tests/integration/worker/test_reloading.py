"""A worker with `--reload` takes up what changes in the app's files."""

from __future__ import annotations

import signal

import pytest

from tests.apps import worker_tasks
from tests.faults.scene import ROOT, Scene, Worker
from tests.support import wait_until

PART = "\n# a comment, so that the size differs: {padding}\nWORD = {word!r}\n"
APP = """
import os
import reload_part
from taskmesh import TaskMesh
from tests.apps import worker_tasks

mesh = worker_tasks.register(TaskMesh(os.environ["TASKMESH_TEST_MESH"]))

@mesh.task(name="word")
def word():
    return reload_part.WORD
"""


def write(scene: Scene, word: str) -> None:
    put(scene, PART.format(padding=word * 10, word=word))


def put(scene: Scene, text: str) -> None:
    """Have that in the file at one stroke, as editors do: nobody imports a half."""
    made = scene.folder / "reload_part.new"
    made.write_text(text)
    made.replace(scene.folder / "reload_part.py")


def reloading(scene: Scene, start_method: str = "", *, ready: bool = True) -> Worker:
    (scene.folder / "reload_app.py").write_text(APP)
    if not (scene.folder / "reload_part.py").exists():
        write(scene, "first")
    return scene.worker(
        1,
        app="reload_app:mesh",
        path=(str(scene.folder), str(ROOT)),
        log_level="INFO",
        reload=True,
        start_method=start_method,
        ready=ready,
    )


def word(scene: Scene) -> str:
    return scene.mesh.task(name="word")(print).delay().get(90)


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_module_that_changes_is_imported_again(scene: Scene, start_method: str) -> None:
    worker = reloading(scene, start_method)
    assert word(scene) == "first"
    write(scene, "second one")
    worker.says("reload_part.py has changed")
    # it says so before its children are told
    wait_until(lambda: word(scene) == "second one")
    assert "stops" not in worker.said()
    assert "stopped" not in worker.said()
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert f"worker {worker.name} has stopped" in worker.said()


def test_a_task_that_runs_may_finish_first(scene: Scene) -> None:
    worker = reloading(scene)
    held = scene.send(worker_tasks.hold, str(scene.folder), "held", 7, expect=7)
    scene.started("held")
    write(scene, "second one")
    worker.says("has changed")
    scene.let("held")
    scene.check()
    assert scene.crashes(held) == 0
    wait_until(lambda: word(scene) == "second one")


@pytest.mark.parametrize("broken", ["1 / 0\n", "def\n"])
def test_a_broken_import_is_shown_and_tried_again_at_the_next_change(scene: Scene, broken: str) -> None:
    worker = reloading(scene)
    put(scene, broken)
    worker.says("waits for a change of its sources")
    assert "Error" in worker.said()
    assert "reload_part.py" in worker.said()
    assert worker.process.poll() is None
    write(scene, "mended")
    assert word(scene) == "mended"


def test_a_worker_may_be_started_on_a_broken_app_and_stopped_without_mending_it(scene: Scene) -> None:
    put(scene, "1 / 0\n")
    worker = reloading(scene, ready=False)
    worker.says("waits for a change of its sources")
    worker.send(signal.SIGINT)
    assert worker.exit_code() == 0
