"""From an app to the words that lead to it."""

from __future__ import annotations

import sys
from types import ModuleType

from taskmesh import TaskMesh


def test_a_worker_is_advised_that_knows_the_tasks(monkeypatch):
    mesh = TaskMesh("advice")
    portal = mesh.portal
    assert portal.worker_command("q") == "taskmesh worker --mesh advice -Q q"

    @mesh.task
    def local() -> None:
        """Travels by value, since nobody can import it."""

    assert portal.worker_command("q") == "taskmesh worker --mesh advice -Q q"
    mesh.task(test_a_worker_is_advised_that_knows_the_tasks)
    assert "--mesh" not in portal.worker_command("q")
    assert portal.worker_command("q").startswith("taskmesh worker FILE.py:ATTRIBUTE -Q q ")
    module = ModuleType("some_app")
    module.app = mesh
    monkeypatch.setitem(sys.modules, "some_app", module)
    assert portal.worker_command("q") == "taskmesh worker some_app:app -Q q"
