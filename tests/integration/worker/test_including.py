"""A worker imports the modules of tasks that are named, and says which of them does not work."""

from __future__ import annotations

import pytest

from tests.faults.scene import ROOT, Scene

MORE = """
from tests.apps.worker_life import mesh

@mesh.task(name="more.twice")
def twice(x):
    return 2 * x
"""


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_the_tasks_of_included_modules_are_run(scene: Scene, start_method: str) -> None:
    (scene.folder / "more_tasks.py").write_text(MORE)
    scene.worker(
        1,
        app="tests.apps.worker_life:mesh",
        path=(str(ROOT), str(scene.folder)),
        env={"TASKMESH_INCLUDE": "more_tasks"},
        start_method=start_method,
    )
    assert scene.mesh.task(name="more.twice")(print).delay(4).get(90) == 8


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("no_such_tasks", 2, "include names the module 'no_such_tasks'"),
        ("broken_tasks", 1, "while importing 'broken_tasks', which include names"),
    ],
)
def test_a_module_that_does_not_work_is_named(scene: Scene, name: str, code: int, says: str) -> None:
    (scene.folder / "broken_tasks.py").write_text("1 / 0")
    worker = scene.worker(
        1,
        app="tests.apps.worker_life:mesh",
        path=(str(ROOT), str(scene.folder)),
        env={"TASKMESH_INCLUDE": name},
        ready=False,
    )
    assert worker.exit_code() == code
    assert says in worker.said()
